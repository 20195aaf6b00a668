"""Words of offences and of column names in English, Spanish, Portuguese, French and German, as data.

Words are compared in small letters without accents and punctuation. `*` stands for any letters (`*diebstahl`), `_` for
a blank, `^` for the beginning. The groups follow those of the presets: person, vehicle, property. What patrols find,
traffic and fraud are in no group.
"""

from __future__ import annotations

import re
from functools import lru_cache

from stforecast.events.parsing.dates import normalise

GROUPS = ("person", "vehicle", "property")
LEFT_OUT = "left out"

_THEFT = (
    "theft thefts larceny larcenies larc stlg steal* stole stolen joyriding robo* roubo* hurto* sustraccion furto* "
    "subtracao vol vols derob* *diebstahl* *diebstahle* gestohlen* entwend* taking"
)
_FORCE = "robbery* robberies rob raub* *raub latrocinio vol_avec_violence* vols_avec_violence* vols_violents*"
_BREAKING = (
    "burglar* break_and_enter* break_in* breaking* break_enter* housebreak* home_invasion b_e allanamiento* "
    "escalamiento* arrombament* invasao_de_domicilio cambriol* *einbruch* *einbruche*"
)
_VEHICLES = (
    "vehicle* veh auto autos automobile* automovil* automotor* automotriz car cars mv m_v mtr motor* gta truck* moto "
    "motos motocicl* motocyc* vehicul* veicul* carro* coche* voiture* kfz* pkw* *fahrzeug* kraftwagen* kraftrad* "
    "camion*"
)
_NO_VEHICLES = "bicycle* bike bikes biciclet* velo velos *fahrrad* boat* aircraft"
_GROUPED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        LEFT_OUT,  # fraud: the recorded place is seldom where it happened
        (
            "fraud* defraud* dishonest_employee forger* counterfeit* embezzl* swindl* false_pretense* identity "
            "credit_card* bad_check* "
            "worthless_check* impersonat* confidence_game stolen_property deceit deceptive* bunco estafa* fraude* "
            "falsific* abuso_de_confianza estelionato* golpe apropiacion* apropriacao* escroquer* abus_de_confiance "
            "faux *betrug* unterschlag* falschung* urkundenfalschung* hehlerei recept* recel* receiving",
        ),
    ),
    (
        LEFT_OUT,  # traffic and what is no offence
        (
            "bomb* accident* collision* leaving_scene hit_and_run traffic dui dwi oui driving operating_under "
            "recovered "
            "recovery lost found missing accidente* transito acidente* circulacion* circulation conduite verkehr* "
            "*unfall* fahrerflucht perdid* extravi* trouve* fund* towed medical sick* suicid*",
        ),
    ),
    (
        LEFT_OUT,  # weapons and drugs that are found; those of an assault are named in other words
        (
            "weapon* firearm* drug* narcot* arma armas droga* waffe* *waffen*",
            "viol* possess* carry* discharg* traffick* trafic* porte posse* portacion posesion tenencia "
            "besitz* handel* illegal* unlawful*",
        ),
    ),
    ("person", (_FORCE,)),
    (
        "person",
        (
            "homicid* murder* manslaught* assault* asslt* aslt* adw battery rape* sex sexual* sodomy fondling "
            "lewd_lascivious* "
            "indecent_liberties molest* incest* kidnap* abduct* false_imprison* traffick* stalk* intimidat* threat* "
            "harass* harrass* extort* menac* shots_fired brandish* child_abuse offense_involving_children "
            "against_person* against_a_person intimate_partner* domestic_violence asesinat* homicidio* feminicid* "
            "femicid* lesion* agresion* violacion* violencia_familiar violencia_domestica abuso_sexual acoso* amenaza* "
            "secuestro* extorsion* privacion_de_la_libertad assassinat* lesao* lesoes agressao* estupro* ameaca* "
            "sequestro* importunacao* coups blessures agression* agressions ^viol ^viols violence* menace* enlevement* "
            "sequestration* harcelement* mord* totschlag* *korperverletzung* vergewalt* *notigung* bedroh* "
            "entfuhr* freiheitsberaub* nachstell* erpress*",
        ),
    ),
    ("vehicle", ("auto_theft* gta theft_f_auto carnapping unauthorized_use_of_a_vehicle",)),
    ("vehicle", (f"{_THEFT} {_BREAKING}", _VEHICLES)),
    ("property", (f"{_THEFT} {_BREAKING}",)),
    (
        "property",
        (
            "shoplift* pickpocket* pocket_picking purse_snatch* vandal* graffiti* damag* destruct* arson* mischief "
            "against_property danos dano dano_* incendio* incendi* depredacao* degradation* destruction* "
            "*sachbeschadig* *brandstift* ladendieb* taschendieb*",
        ),
    ),
    (
        LEFT_OUT,  # what patrols find
        (
            "drug* narcot* marijuana marihuana cannabis heroin cocain* controlled_substance* liquor alcohol* "
            "drunk* intoxicat* prostitut* prostituc* gambl* weapon* firearm* gun guns warrant* loiter* vagran* "
            "curfew probation parole registr* trespass* droga* narcomenudeo estupefaciente* entorpecente* trafico* "
            "arma armas stupefiant* drogue* arme armes *betaubungsmittel* btm rauschgift* waffe* *waffen*",
        ),
    ),
)
_ROBO = "robo* roubo*"  # theft and robbery alike: it is the second where nothing else is said
_WITHOUT_FORCE = (
    "sin_violencia casa habitacion domicilio negocio interior vivienda comercio objetos accesorios autopartes"
)

NAMES = {
    "occurred": "occur* occ offense_date offence_date incident_date crime_date from fr start begin* first when date "
    "fecha* hecho* ocurr* inicio data ocorr* date_des_faits faits debut survenu* tatzeit* tattag* beginn* datum* ab "
    "von "
    "event*",
    "time": "time tm hour hora horas hrs franja heure uhrzeit stunde zeit tatzeit* clock",
    "until": "to until end last thru through hasta fin final ate termino jusqu* bis ende",
    "reported": "report* rptd rpt received reporte* denuncia* registro* registrad* comunic* notific* signale* declar* "
    "plainte depot gemeldet* meld* anzeige* aufnahme* angezeigt*",
    "updated": "updat* modif* edit* load* export* insert* creat* actualiz* atualiz* mis_a_jour maj aktualisier* "
    "geandert* "
    "stand",
    "year": "year yr ano annee jahr anio",
    "month": "month mes mois monat",
    "day": "day dia jour tag",
    "hour": "hour hora heure stunde franja hr",
    "minute": "minute min minuto minuten",
    "latitude": "lat latitude latitud breite* breitengrad y ycoord y_coord* northing geo_lat coord_y",
    "longitude": "lon long lng longitude longitud longitudine lange langengrad x xcoord x_coord* easting geo_lon "
    "coord_x",
    "offence": "offense* offence* crime* type category description delito* tipo infrac* crimen* natureza ocorrencia* "
    "delit* infraction* nature qualification straftat* delikt* tatbestand* deliktart*",
    "event_id": "id offense_id offence_id objectid row_id uuid guid dr_no key event_id",
    "incident_id": "incident* case* complaint* ccn report_number report_no caso* expediente* folio carpeta* boletim* "
    "ocorrencia* affaire dossier procedure aktenzeichen* fall* vorgang*",
    "district": "district precinct zone area_name distrito* zona comisaria* alcaldia delegacia* comuna arrondissement* "
    "secteur bezirk* revier* wache stadtteil* neighbourhood neighborhood barrio bairro quartier division",
    "arrest": "arrest* detenido* detencion* preso* prisao arrestation* interpell* festnahme* festgenomm*",
}


@lru_cache(maxsize=65536)
def offence_group(offence: str) -> str | None:
    """The group of `GROUPS` that an offence's words tell, `LEFT_OUT`, or None where they tell nothing."""
    text = _plain(offence)
    for group, needs in _GROUPED:
        if not all(_pattern(words).search(text) for words in needs):
            continue
        if group == "vehicle" and _pattern(_NO_VEHICLES).search(text):
            continue
        if group == "property" and _pattern(_ROBO).search(text) and not _pattern(_WITHOUT_FORCE).search(text):
            return "person"
        return group
    return None


@lru_cache(maxsize=4096)
def has_word_for(column: str, role: str) -> bool:
    """Whether the name of a column has a word for a role of `NAMES`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return bool(_pattern(NAMES[role]).search(_plain(spaced)))


def _plain(text: str) -> str:
    return " ".join(re.split("[^a-z0-9]+", normalise(text)))


@lru_cache(maxsize=64)
def _pattern(words: str) -> re.Pattern[str]:
    each = (word.replace("*", "[a-z0-9]*").replace("_", " ") for word in words.split())
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(each)})(?![a-z0-9])")
