"""示范市: a fictional city of any size, whose people, households, companies and licences fit together.

No division of it exists (990100 and its districts), so that no ID made here can be anybody's.
"""

from demonstration.city.blocks import BLOCK_PEOPLE, CityPlan, Company, Person, companies, people
from demonstration.city.codes import ISSUER_CODE, ISSUER_NAME, office_code
from demonstration.city.files import (
    EntityRef,
    Made,
    write_credentials,
    write_legal_entities,
    write_population,
)
from demonstration.city.mess import Mess

__all__ = [
    "BLOCK_PEOPLE",
    "ISSUER_CODE",
    "ISSUER_NAME",
    "CityPlan",
    "Company",
    "EntityRef",
    "Made",
    "Mess",
    "Person",
    "companies",
    "office_code",
    "people",
    "write_credentials",
    "write_legal_entities",
    "write_population",
]
