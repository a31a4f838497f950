"""Who plays where in the mock market. All of it is invented: no act, team or house here is meant to be a real one."""

from __future__ import annotations

from typing import NamedTuple


class Section(NamedTuple):
    """A part of a house: its name, what a seat there is worth against the others, and whether it has seats at all."""

    name: str
    worth: float
    general: bool = False


class Venue(NamedTuple):
    """A house. `offset` is its clock's distance from UTC in hours, the same all year."""

    name: str
    city: str
    state: str
    offset: int
    currency: str
    room: str


def _numbered(first: int, last: int, step: int, worth: float) -> tuple[Section, ...]:
    return tuple(Section(str(number), worth) for number in range(first, last + 1, step))


ROOMS: dict[str, tuple[Section, ...]] = {
    "arena": (
        *(Section(f"Floor {letter}", worth) for letter, worth in zip("ABCD", (2.6, 2.4, 2.1, 1.9), strict=True)),
        *_numbered(101, 120, 2, 1.5),
        *_numbered(201, 224, 3, 0.85),
        Section("GA Pit", 2.2, general=True),
    ),
    "stadium": (
        *(Section(f"Field Box {number}", 2.3) for number in (4, 8, 12, 16)),
        *_numbered(110, 140, 5, 1.4),
        *_numbered(301, 331, 5, 0.6),
        Section("Bleachers", 0.45, general=True),
    ),
    "theatre": (
        Section("Orchestra Center", 2.0), Section("Orchestra Left", 1.5), Section("Orchestra Right", 1.5),
        Section("Mezzanine", 1.1), Section("Boxes", 1.7), Section("Balcony", 0.7),
    ),
    "club": (
        Section("GA", 0.9, general=True), Section("Balcony Left", 1.3), Section("Balcony Right", 1.3),
        Section("Mezzanine", 1.2), Section("Booths", 2.0),
    ),
}  # fmt: skip

VENUES = (
    Venue("Grand Hall", "Chicago", "IL", -6, "USD", "theatre"),
    Venue("Riverside Arena", "Portland", "OR", -8, "USD", "arena"),
    Venue("The Foundry", "Brooklyn", "NY", -5, "USD", "club"),
    Venue("Lakeview Bowl", "Madison", "WI", -6, "USD", "stadium"),
    Venue("Copley Row Playhouse", "Boston", "MA", -5, "USD", "theatre"),
    Venue("Harbor Stage", "Seattle", "WA", -8, "USD", "club"),
    Venue("Union Field", "Denver", "CO", -7, "USD", "stadium"),
    Venue("The Orchard", "Austin", "TX", -6, "USD", "club"),
    Venue("Cumberland Dome", "Nashville", "TN", -6, "USD", "arena"),
    Venue("Peachwood Arena", "Atlanta", "GA", -5, "USD", "arena"),
    Venue("Schuylkill Yard", "Philadelphia", "PA", -5, "USD", "club"),
    Venue("Ocotillo Park", "Phoenix", "AZ", -7, "USD", "stadium"),
    Venue("Foundry Street Opera", "Detroit", "MI", -5, "USD", "theatre"),
    Venue("North Star Center", "Minneapolis", "MN", -6, "USD", "arena"),
    Venue("The Pontoon", "New Orleans", "LA", -6, "USD", "club"),
    Venue("Breakwater Arena", "San Diego", "CA", -8, "USD", "arena"),
    Venue("Sundown Canyon", "Los Angeles", "CA", -8, "USD", "stadium"),
    Venue("The Marquee at Larch Street", "New York", "NY", -5, "USD", "theatre"),
    Venue("Wharf Street Arena", "Toronto", "ON", -5, "CAD", "arena"),
    Venue("The Tannery", "Toronto", "ON", -5, "CAD", "club"),
    Venue("Salle des Érables", "Montréal", "QC", -5, "CAD", "theatre"),
    Venue("Cedar Dome", "Vancouver", "BC", -8, "CAD", "arena"),
)

ACTS = (
    "The Paper Lanterns", "Nora Vale", "Midnight Ferry", "Copper & Rye", "Sunday Static", "Glass Harbour Band",
    "The Long Division", "Ada Okonjo Trio", "Velvet Antlers", "Northbound Nine", "Marrow Tide Choir", "Low Tide Radio",
    "Juniper Coast", "The Borrowed Keys", "Tin Roof Astronomers", "Ossian & the Wells", "Ruby Caldera", "Pale Motorway",
    "Las Golondrinas Azules", "Kestrel Parade", "DJ Halfmoon", "Seven Small Fires", "The Understudies", "Ines Marlowe",
    "Concrete Orchard", "Brother Lantern", "Wild Geese Union", "Echo Lake Rangers", "Teo Brannigan", "Static Bloom",
    "The Salt Merchants", "Winterhouse", "Laugh Track Live", "Two Cents Comedy Hour", "Mina Sorrel", "Gravel & Gold",
)  # fmt: skip

SHOWS = (
    "Hamlet", "The Winter's Tale", "Cirque des Brumes", "The Clockmaker's Daughter", "Lighthouse: A New Musical",
    "The Nutcracker", "Paper Moons", "The Importance of Being Earnest",
)  # fmt: skip

TEAMS = {
    "Riverside Arena": "Portland Ironwoods", "Lakeview Bowl": "Madison Herons", "Union Field": "Denver Switchbacks",
    "Cumberland Dome": "Nashville Hollers", "Peachwood Arena": "Atlanta Kingfishers", "Ocotillo Park": "Phoenix Quails",
    "North Star Center": "Minneapolis Loons", "Breakwater Arena": "San Diego Stingrays",
    "Sundown Canyon": "Los Angeles Foxes", "Wharf Street Arena": "Toronto Foundrymen",
    "Cedar Dome": "Vancouver Tideline",
}  # fmt: skip
"""Who is at home where."""
