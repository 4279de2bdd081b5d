"""Check that the package imports where none of its extras is installed: `make lint` runs this in such a place."""

import importlib
import importlib.util
import pkgutil
import sys

EXTRAS = (
    "pandas",
    "numpy",
    "polars",
    "torch",
    "sklearn",
    "safetensors",
    "dagster_webserver",
    "dagster_k8s",
    "psycopg2",
    "boto3",
    "dagster_aws",
    "cryptography",
    "authlib",
    "dagster_graphql",
    "graphene",
    "graphql",
    "httpx2",
    "itsdangerous",
    "jwt",
    "kubernetes",
    "limits",
    "starlette",
    "uvicorn",
)
# what is imported only where the extra that it is for is in use
OF_AN_EXTRA = (
    "mlrepro.execution.pods.speaking",
    "mlrepro.store.formats.",
    "mlrepro.tenancy.launcher",
    "mlrepro.web.",
)

present = [name for name in EXTRAS if importlib.util.find_spec(name)]
if present:
    sys.exit(f"this environment is not bare, it has {', '.join(present)}")

import mlrepro  # noqa: E402 -- after the check of what is installed

for name in mlrepro.__all__:
    getattr(mlrepro, name)
imported = 0
for module in pkgutil.walk_packages(mlrepro.__path__, "mlrepro."):
    try:
        importlib.import_module(module.name)
        imported += 1
    except ModuleNotFoundError as error:
        if not (module.name.startswith(OF_AN_EXTRA) and str(error.name).partition(".")[0] in EXTRAS):
            raise
print(f"mlrepro, its {len(mlrepro.__all__)} public names and {imported} modules import without any extra")
