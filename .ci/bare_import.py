"""Check that the package imports where none of its extras is installed: `make lint` runs this in such a place."""

import importlib
import importlib.util
import pkgutil
import sys

EXTRAS = ("pandas", "polars", "torch", "sklearn", "safetensors", "dagster_webserver", "psycopg2", "boto3")

present = [name for name in EXTRAS if importlib.util.find_spec(name)]
if present:
    sys.exit(f"this environment is not bare, it has {', '.join(present)}")

import mlrepro  # noqa: E402 -- after the check of what is installed

for name in mlrepro.__all__:
    getattr(mlrepro, name)
modules = [module.name for module in pkgutil.walk_packages(mlrepro.__path__, "mlrepro.")]
for name in modules:
    importlib.import_module(name)
print(f"mlrepro, its {len(mlrepro.__all__)} public names and its {len(modules)} modules import without any extra")
