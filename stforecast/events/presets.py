"""Formats of known publishers, as data. `sources.resolve` merges one with the user's own fields.

Column names are compared without case, spaces and punctuation (`Primary Type` = `primary_type` = `PrimaryType`).
`times_are: None` means "local, unless an offset is written".

The default categories group the publisher's own offence types into person, vehicle and property. They leave out what
is mostly found by patrols and not reported by a victim (drugs, driving, weapons found, prostitution, warrants): its
counts follow where the police look, and a forecast of them would send the police to where it already was. Fraud is
left out too, since the recorded place is seldom where it happened. `source.other` takes in all the rest.
"""

from __future__ import annotations

from stforecast.sections import Columns, Source

PRESETS: dict[str, Source] = {
    # ArcGIS export; OFFENSE_ID is one offence, INCIDENT_ID may hold several
    "denver": Source(
        columns=Columns(
            occurred=["FIRST_OCCURRENCE_DATE"],
            occurred_until=["LAST_OCCURRENCE_DATE"],
            reported=["REPORTED_DATE"],
            latitude=["GEO_LAT"],
            longitude=["GEO_LON"],
            offence=["OFFENSE_CATEGORY_ID"],
            event_id=["OFFENSE_ID"],
            incident_id=["INCIDENT_ID"],
            district=["DISTRICT_ID"],
        ),
        time_zone="America/Denver",
        date_order="month_first",
        bounds=(-105.3, 39.5, -104.5, 40.0),
        categories={
            "person": ["murder", "aggravated-assault", "robbery", "sexual-assault", "other-crimes-against-persons"],
            "vehicle": ["auto-theft", "theft-from-motor-vehicle"],
            "property": ["burglary", "larceny", "arson"],
            "disorder": ["public-disorder"],  # nine in ten of them damage to property and threats
        },
    ),
    # Socrata export, its API's snake case and the compact header of re-published yearly files
    "chicago": Source(
        columns=Columns(
            occurred=["Date"],
            latitude=["Latitude"],
            longitude=["Longitude"],
            offence=["Primary Type"],
            event_id=["ID"],
            incident_id=["Case Number"],
            district=["District"],
            arrest=["Arrest"],
        ),
        time_zone="America/Chicago",
        date_order="month_first",
        bounds=(-87.95, 41.63, -87.51, 42.04),
        categories={
            "person": [
                *("HOMICIDE", "CRIM SEXUAL ASSAULT", "CRIMINAL SEXUAL ASSAULT", "SEX OFFENSE", "ROBBERY", "BATTERY"),
                *("ASSAULT", "KIDNAPPING", "STALKING", "INTIMIDATION", "OFFENSE INVOLVING CHILDREN"),
            ],
            "vehicle": ["MOTOR VEHICLE THEFT"],
            "property": ["THEFT", "BURGLARY", "ARSON", "CRIMINAL DAMAGE"],
        },
    ),
    # the day of the occurrence and its time (HHMM) are two columns; from 2024 on a NIBRS file whose places are rounded
    # to the hundred block, a row an offence
    "los_angeles": Source(
        columns=Columns(
            occurred=["DATE OCC"],
            occurred_time=["TIME OCC"],
            reported=["Date Rptd"],
            latitude=["LAT", "hndrdth_lat"],
            longitude=["LON", "hndrdth_lon"],
            offence=["Crm Cd Desc", "nibr_description"],
            event_id=["DR_NO", "uniquenibrno"],
            incident_id=["caseno"],
            district=["AREA NAME"],
        ),
        time_zone="America/Los_Angeles",
        date_order="month_first",
        bounds=(-118.70, 33.68, -118.13, 34.36),
        categories={
            "person": [
                *("*HOMICIDE*", "MURDER*", "MANSLAUGHTER*", "*ASSAULT*", "ADW*", "*BATTERY*", "*ROBBERY*", "RAPE*"),
                *("SODOMY*", "FONDLING*", "SEXUAL PENETRATION*", "ORAL COPULATION", "LEWD/LASCIVIOUS*", "KIDNAPPING*"),
                *("FALSE IMPRISONMENT", "STALKING", "CRIMINAL THREATS*", "INTIMIDATION", "BRANDISH WEAPON"),
                *("CHILD ABUSE*", "EXTORTION", "SHOTS FIRED*", "INTIMATE PARTNER*", "IPV*"),
            ],
            "vehicle": [
                *("VEHICLE*STOLEN*", "GRAND THEFT AUTO", "MOTOR VEHICLE THEFT*", "BURGLARY FROM*VEHICLE*"),
                *("*THEFT FROM MOTOR VEHICLE*", "THEFT FROM MV*", "THEFT OF MOTOR VEHICLE PARTS*"),
            ],
            "property": [
                *("*BURGLARY*", "THEFT PLAIN*", "THEFT-GRAND*", "THEFT, PERSON", "THEFT FROM PERSON*", "SHOPLIFTING*"),
                *("BIKE*STOLEN", "BOAT*STOLEN", "PICKPOCKET*", "PURSE SNATCHING*", "*VANDALISM*", "ARSON*"),
                *("PETTY THEFT", "GRAND THEFT", "THEFT FROM BUILDING*", "ALL OTHER LARCENY", "POCKET-PICKING"),
                *("PURSE-SNATCHING", "DESTRUCTION*"),
            ],
        },
    ),
    # CMPLNT_FR_DT/TM, and the older "seven major felonies" with one occurrence column
    "new_york": Source(
        columns=Columns(
            occurred=["CMPLNT_FR_DT", "Occurrence Date"],
            occurred_time=["CMPLNT_FR_TM"],
            occurred_until=["CMPLNT_TO_DT"],
            occurred_until_time=["CMPLNT_TO_TM"],
            reported=["RPT_DT"],
            latitude=["Latitude"],
            longitude=["Longitude"],
            offence=["OFNS_DESC", "Offense"],
            event_id=["CMPLNT_NUM"],
            district=["ADDR_PCT_CD", "Precinct"],
        ),
        time_zone="America/New_York",
        date_order="month_first",
        bounds=(-74.27, 40.48, -73.68, 40.93),
        categories={
            "person": [
                *("MURDER*", "HOMICIDE*", "FELONY ASSAULT", "ASSAULT 3*", "ROBBERY", "RAPE*", "SEX CRIMES"),
                *("FELONY SEX CRIMES", "KIDNAPPING*", "HARRASSMENT*", "OFFENSES AGAINST THE PERSON"),
            ],
            "vehicle": ["*LARCENY OF MOTOR VEHICLE", "UNAUTHORIZED USE OF A VEHICLE*"],
            "property": ["GRAND LARCENY", "PETIT LARCENY", "BURGLARY", "CRIMINAL MISCHIEF*", "ARSON"],
        },
    ),
    # writes "+00" behind times that are local; older files group the offences (OFFENSE_CODE_GROUP)
    "boston": Source(
        columns=Columns(
            occurred=["OCCURRED_ON_DATE"],
            latitude=["Lat"],
            longitude=["Long"],
            offence=["OFFENSE_DESCRIPTION", "OFFENSE_CODE_GROUP"],
            incident_id=["INCIDENT_NUMBER"],
            district=["DISTRICT"],
        ),
        time_zone="America/New_York",
        date_order="month_first",
        times_are="local",
        bounds=(-71.20, 42.22, -70.92, 42.41),
        categories={
            "person": [
                *("MURDER*", "MANSLAUGHTER*", "HOMICIDE*", "ASSAULT*", "*ED ASSAULT", "SIMPLE ASSAULT", "ROBBERY*"),
                *("THREATS TO DO BODILY HARM", "*HARASSMENT*", "KIDNAPPING*", "STALKING*", "EXTORTION*"),
            ],
            "vehicle": [
                *("AUTO THEFT", "AUTO THEFT - MOTORCYCLE*", "AUTO THEFT - LEASED*"),
                *("LARCENY THEFT FROM MV*", "LARCENY THEFT OF MV*", "LARCENY*FROM MV*", "LARCENY FROM MOTOR VEHICLE*"),
            ],
            "property": ["LARCENY*", "*BURGLARY*", "HOME INVASION", "VANDALISM", "GRAFFITI", "ARSON*"],
        },
        max_rejects=0.15,  # one report in twelve has no coordinates
    ),
    # state plane in US survey feet (EPSG:2815 and 26996 are the same grid in metres); Count -1 withdraws a report;
    # before 2013 a header of 18 columns (MonthReportedtoMSHP, DateOccured, NewCrimeIndicator …) without `Complaint`
    "st_louis": Source(
        columns=Columns(
            occurred=["DateOccur", "DateOccured"],
            latitude=["YCoord"],
            longitude=["XCoord"],
            offence=["Description"],
            incident_id=["Complaint"],
            district=["District"],
            count=["Count"],
        ),
        crs="ESRI:102696",
        time_zone="America/Chicago",
        date_order="month_first",
        bounds=(-90.33, 38.52, -90.16, 38.78),
        categories={
            "person": [
                *("HOMICIDE*", "*ASSAULT*", "AGG.ASSAULT*", "ASSLT*", "ASLT*", "ROBBERY*", "RAPE*", "KIDNAPPING*"),
                *("STALKING*", "SEX OFFNS-*RAPE*", "SEX OFFNS-CHILD MOL*", "SEX OFFNS-SX*", "SEX OFFNS-SODOMY*"),
            ],
            "vehicle": ["AUTO THEFT*", "LARCENY-FROM MTR VEH*", "LARCENY-MTR VEH PARTS*"],
            "property": ["BURGLARY*", "LARCENY*", "LARC-*", "DESTRUCTION OF PROPERTY*", "ARSON*"],
        },
    ),
    # ArcGIS export in UTC
    "washington_dc": Source(
        columns=Columns(
            occurred=["START_DATE"],
            occurred_until=["END_DATE"],
            reported=["REPORT_DAT"],
            latitude=["LATITUDE"],
            longitude=["LONGITUDE"],
            offence=["OFFENSE"],
            incident_id=["CCN"],
            district=["DISTRICT"],
        ),
        time_zone="America/New_York",
        date_order="month_first",
        times_are="utc",
        bounds=(-77.13, 38.79, -76.90, 39.00),
        categories={
            "person": ["HOMICIDE", "ASSAULT W/DANGEROUS WEAPON", "ROBBERY", "SEX ABUSE"],
            "vehicle": ["THEFT F/AUTO", "MOTOR VEHICLE THEFT"],
            "property": ["THEFT/OTHER", "BURGLARY", "ARSON"],
        },
    ),
    # writes UTC without saying so (the column event_watch tells)
    "atlanta": Source(
        columns=Columns(
            occurred=["OccurredFromDate"],
            occurred_until=["OccurredToDate"],
            reported=["ReportDate"],
            latitude=["Latitude"],
            longitude=["Longitude"],
            offence=["NIBRS_Offense"],
            incident_id=["IncidentNumber"],
            district=["Zone_int"],
        ),
        time_zone="America/New_York",
        date_order="month_first",
        times_are="utc",
        bounds=(-84.57, 33.60, -84.28, 33.90),
        categories={
            "person": [
                *("Murder*", "*Assault", "Robbery", "Rape", "Sodomy", "Fondling", "Kidnapping*", "Intimidation"),
                "Sexual Assault*",
            ],
            "vehicle": ["Motor Vehicle Theft", "Theft From Motor Vehicle", "Theft of Motor Vehicle Parts*"],
            "property": [
                *("Burglary*", "All Other Larceny", "Shoplifting", "Theft From Building", "Pocket-picking"),
                *("Purse-snatching", "Destruction*", "Arson"),
            ],
        },
    ),
}
