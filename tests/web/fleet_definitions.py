from tests.web.team_definitions import definitions

defs = definitions("fleet")
