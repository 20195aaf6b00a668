"""Header variants of known publishers: rows of ours in the form of each."""

# ruff: noqa: E501

import pandas as pd
import pytest

from stforecast.config import parse
from stforecast.events.ingest import ingest

NOW = pd.Timestamp("2026-11-01", tz="UTC")
FILES = {
    "st_louis, before 2013": (
        "st_louis",
        "MonthReportedtoMSHP,DateOccured,NewCrimeIndicator,UnfoundedCrimeIndicator,AdministrativeAdjustmentIndicator,"
        "Count,Crime,District,Description,ILEADSAddress,ILEADSStreet,Neighborhood,LocationName,LocationComment,"
        "CADAddress,CADStreet,XCoord,YCoord",
        [
            '2011-03,"03/02/2011 14:30",Y, , ,1,67701,3,"LARCENY-FROM MTR VEH $500 - $24,999",1,A ST,9, , ,1,A,898000,1018000',
            '2011-03,"03/02/2011 23:05",Y, , ,1,31111,3,"ROBBERY-HIGHWAY  /FIREARM USED",1,B ST,9, , ,1,B,898100,1018100',
            '2011-03,"03/05/2011 01:10",Y, , ,1,10000,4,HOMICIDE,1,C ST,9, , ,1,C,898200,1018200',
        ],
        ["vehicle", "person", "person"],
        "2011-03-02 20:30:00+00:00",
    ),
    "los_angeles, NIBRS": (
        "los_angeles",
        "caseno,uniquenibrno,date_rptd,date_occ,time_occ,area_name,nibr_code,nibr_description,hndrdth_lat,hndrdth_lon",
        [
            "260501,260501-23F-1,2026-02-06T00:00:00.000,2026-02-05T00:00:00.000,1430,Central,23F,Theft from Motor Vehicle,34.0501,-118.2502",
            "260501,260501-240-2,2026-02-06T00:00:00.000,2026-02-05T00:00:00.000,1430,Central,240,Grand Theft Auto,34.0501,-118.2502",
            "260502,260502-13B-1,2026-02-07T00:00:00.000,2026-02-06T00:00:00.000,0005,Central,13B,Simple Battery,34.0601,-118.2402",
            "260503,260503-220-1,2026-02-08T00:00:00.000,2026-02-07T00:00:00.000,2345,Central,220,Residential Burglary,34.0701,-118.2302",
            "260504,260504-90Z-1,2026-02-08T00:00:00.000,2026-02-07T00:00:00.000,1200,Central,90Z,Bench Warrant,34.0701,-118.2302",
        ],
        ["vehicle", "person", "property"],  # two thefts of vehicles in one case are one event
        "2026-02-05 22:30:00+00:00",
    ),
    "boston, by group": (
        "boston",
        "INCIDENT_NUMBER,OFFENSE_CODE,OFFENSE_CODE_GROUP,DISTRICT,SHOOTING,OCCURRED_ON_DATE,STREET,Lat,Long,Location",
        [
            'I17,613,Larceny,D4,,2017-08-02 13:00:00,A ST,42.35,-71.06,"(42.35, -71.06)"',
            'I18,706,Auto Theft,D4,,2017-08-03 13:00:00,A ST,42.35,-71.07,"(42.35, -71.07)"',
            'I19,614,Larceny From Motor Vehicle,D4,,2017-08-04 13:00:00,A ST,42.36,-71.07,"(42.36, -71.07)"',
            'I20,802,Simple Assault,D4,,2017-08-05 13:00:00,A ST,42.36,-71.08,"(42.36, -71.08)"',
            'I21,520,Residential Burglary,D4,,2017-08-06 13:00:00,A ST,42.37,-71.08,"(42.37, -71.08)"',
            'I22,3831,Motor Vehicle Accident Response,D4,,2017-08-06 14:00:00,A ST,42.37,-71.08,"(42.37, -71.08)"',
        ],
        ["property", "vehicle", "vehicle", "person", "property"],
        "2017-08-02 17:00:00+00:00",
    ),
    "denver, the service": (
        "denver",
        "objectid,incident_id,offense_id,offense_category_id,first_occurrence_date,last_occurrence_date,reported_date,"
        "geo_lon,geo_lat,district_id",
        [
            "1,2024001,2024001230500,larceny,1704490200000,,1704493800000,-104.98,39.74,6",
            "2,2024002,2024002131300,aggravated-assault,1704576600000,1704580200000,1704580200000,-104.97,39.75,6",
            "3,2024003,2024003240400,auto-theft,1704663000000,,1704666600000,-104.96,39.76,6",
        ],
        ["property", "person", "vehicle"],
        "2024-01-05 21:30:00+00:00",
    ),
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_header_of_a_known_publisher(tmp_path, name):
    preset, header, rows, categories, first = FILES[name]
    path = tmp_path / "file.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    events = ingest(parse({"city": "x", "root": str(tmp_path), "source": {"preset": preset}}, "test"), [path], now=NOW)
    assert events.frame["category"].tolist() == categories
    assert str(events.frame["occurred_at"].iloc[0]) == first
    assert events.meta["rejected"] == {}
