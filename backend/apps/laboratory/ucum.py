"""Writes units as UCUM does; without this mmol/l and MMOL/L would be two units, and a trend two lines.

Source: The Unified Code for Units of Measure (Regenstrief Institute), version 2.1, case sensitive codes, and its table
of example codes for electronic messaging. Only what can mean one thing is written otherwise: a unit that is not known
stays as sent, and so does one whose letters mean two things in two laboratories ("MU/L": milli or mega).
"""

from __future__ import annotations

import functools
import re

CASED = {  # their capitals decide what they mean; in others they stay as sent
    "g/L": "g/L", "G/L": "10*9/L", "T/L": "10*12/L", "mU/L": "mU/L", "mU/mL": "mU/mL", "mU/ml": "mU/mL", "mm": "mm",
    "mM": "mmol/L", "uM": "umol/L", "nM": "nmol/L", "pM": "pmol/L", "g/l": "g/L", "mU/l": "mU/L",
}  # fmt: skip
MICRO = str.maketrans({"\u00b5": "u", "\u03bc": "u", "³": "3", "²": "2", "\u00d7": "x", "·": "."})
UCUM = frozenset({
    "%", "/[HPF]", "/[LPF]", "/uL", "[IU]/L", "[IU]/mL", "[IU]/dL", "k[IU]/L", "m[IU]/L", "m[IU]/mL", "u[IU]/mL",
    "U/L", "U/mL", "U/g", "g", "g/dL", "g/kg", "g/mL", "kg", "kg/m2", "mg/dL", "mg/L", "mg/mL", "mg/g", "mg/kg",
    "mg/mmol", "ug/dL", "ug/L", "ug/mL", "ug/g", "ug/mg", "ng/dL", "ng/L", "ng/mL", "ng/mL/h", "pg", "pg/dL",
    "pg/mL", "fL", "fmol/L", "fmol", "pmol/L", "nmol/L", "umol/L", "mmol/L", "mol/L", "mmol/mol", "mmol/kg",
    "mosm/kg", "mosm/L", "meq/L", "meq/mL", "meq", "L", "mL", "dL", "uL", "cm", "mm/h", "mm[Hg]", "kPa", "Cel", "s",
    "min", "h", "d", "wk", "mo", "a", "mL/min", "L/min", "mL/min/{1.73_m2}", "g/(24.h)", "mg/(24.h)", "ug/(24.h)",
    "mmol/(24.h)", "umol/(24.h)", "nmol/(24.h)", "mL/(24.h)", "meq/(24.h)", "mg/h", "ug/min", "{ratio}", "{INR}",
    "{titer}", "{copies}/mL", "[CFU]/mL", "{cells}/uL", "10*3/uL", "10*6/uL", "10*3/mL", "10*6/mL", "10*9/L",
    "10*12/L", "10*6/L", "{index}", "ukat/L", "nkat/L", "uU/mL", "ng/mL{FEU}", "ug/mL{FEU}",
})  # fmt: skip  # what is UCUM already, and what most spellings in other capitals mean
NAMES = {  # written in small letters, without blanks: what laboratories write instead
    "percent": "%", "pct": "%", "iu/l": "[IU]/L", "iu/ml": "[IU]/mL", "iu/dl": "[IU]/dL", "kiu/l": "k[IU]/L",
    "miu/l": "m[IU]/L", "miu/ml": "m[IU]/mL", "uiu/ml": "u[IU]/mL", "mciu/ml": "u[IU]/mL", "units/l": "U/L",
    "unit/l": "U/L", "units/ml": "U/mL", "unit/ml": "U/mL", "mcg/dl": "ug/dL", "mcg/l": "ug/L", "mcg/ml": "ug/mL",
    "mcg/g": "ug/g", "mcg/mg": "ug/mg", "mcg/24h": "ug/(24.h)", "gm/dl": "g/dL", "gms/dl": "g/dL", "g%": "g/dL",
    "gm%": "g/dL", "mg%": "mg/dL", "gm": "g", "gram": "g", "grams": "g", "mgs/dl": "mg/dL", "mcmol/l": "umol/L",
    "meq/liter": "meq/L", "mmol/liter": "mmol/L", "mosmol/kg": "mosm/kg", "mosm/kgh2o": "mosm/kg",
    "mosmol/kgh2o": "mosm/kg", "mosmol/l": "mosm/L", "mmhg": "mm[Hg]", "mm/hr": "mm/h", "mm/1h": "mm/h", "sec": "s",
    "secs": "s", "second": "s", "seconds": "s", "minutes": "min", "hrs": "h", "hr": "h", "hours": "h", "days": "d",
    "weeks": "wk", "years": "a", "yrs": "a", "degc": "Cel", "celsius": "Cel", "ratio": "{ratio}", "inr": "{INR}",
    "titer": "{titer}", "index": "{index}", "copies/ml": "{copies}/mL", "cfu/ml": "[CFU]/mL", "cells/ul": "{cells}/uL",
    "cells/mcl": "{cells}/uL", "/hpf": "/[HPF]", "/lpf": "/[LPF]", "ml/min/1.73m2": "mL/min/{1.73_m2}",
    "ml/min/1.73": "mL/min/{1.73_m2}", "ml/min/{1.73m2}": "mL/min/{1.73_m2}", "ml/min/1.73_m2": "mL/min/{1.73_m2}",
    "ml/min/1.73m^2": "mL/min/{1.73_m2}", "ml/min/1.73sqm": "mL/min/{1.73_m2}", "ml/min/m2": "mL/min/m2",
    "g/24h": "g/(24.h)", "g/24hr": "g/(24.h)", "g/24hrs": "g/(24.h)", "mg/24h": "mg/(24.h)", "mg/24hr": "mg/(24.h)",
    "mg/24hrs": "mg/(24.h)", "mg/d": "mg/(24.h)", "g/d": "g/(24.h)", "ug/24h": "ug/(24.h)", "mmol/24h": "mmol/(24.h)",
    "umol/24h": "umol/(24.h)", "ml/24h": "mL/(24.h)", "kg/m^2": "kg/m2", "ng/mlfeu": "ng/mL{FEU}",
    "ug/mlfeu": "ug/mL{FEU}", "mcg/mlfeu": "ug/mL{FEU}", "k/ul": "10*3/uL", "k/mcl": "10*3/uL", "k/mm3": "10*3/uL",
    "k/cumm": "10*3/uL", "thou/ul": "10*3/uL", "thou/mcl": "10*3/uL", "thou/cumm": "10*3/uL", "thous/ul": "10*3/uL",
    "thousand/ul": "10*3/uL", "th/ul": "10*3/uL", "th/mm3": "10*3/uL", "1000/ul": "10*3/uL", "m/ul": "10*6/uL",
    "m/mcl": "10*6/uL", "m/mm3": "10*6/uL", "m/cumm": "10*6/uL", "mil/ul": "10*6/uL", "mill/mcl": "10*6/uL",
    "mill/ul": "10*6/uL", "million/ul": "10*6/uL", "mil/mm3": "10*6/uL", "giga/l": "10*9/L", "tera/l": "10*12/L",
    "ph": "[pH]", "/mcl": "/uL", "/mm3": "/uL", "/cumm": "/uL",
}  # fmt: skip
POWER = re.compile(r"x?10(?:\^|\*{1,2}|e\+?|\()?0?([0-9]{1,2})\)?/(ul|mcl|mm3|cumm|cmm|ml|l)")
VOLUMES = {"ul": "uL", "mcl": "uL", "mm3": "uL", "cumm": "uL", "cmm": "uL", "ml": "mL", "l": "L"}
POWERS = {"3", "6", "9", "12"}
SMALL = {unit.lower(): unit for unit in UCUM if len(unit) > 1} | NAMES  # S and s, A and a are two units
UNSURE = frozenset(unit.lower() for unit in CASED)


@functools.lru_cache(maxsize=2048)
def of(sent: str) -> str:
    """Return the UCUM code of a unit as sent, empty when it is not known for certain."""
    text = "".join(sent.translate(MICRO).split())
    if text in CASED:
        return CASED[text]
    if text in UCUM:
        return text
    small = text.lower()
    if small in UNSURE:
        return ""
    if found := POWER.fullmatch(small):
        return f"10*{found[1]}/{VOLUMES[found[2]]}" if found[1] in POWERS else ""
    return SMALL.get(small, "")
