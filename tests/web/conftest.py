from tests.web.fixtures import served
from tests.web.installation import installation

shared = served(installation, "shared")
isolated = served(installation, "isolated")
