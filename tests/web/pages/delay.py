from tests.web.pages.team import definitions

defs = definitions("delay")
