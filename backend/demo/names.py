"""Names, streets and other words that make a demo clinic readable; all made up."""

FIRST = (
    "Ada", "Ben", "Carla", "Dan", "Elena", "Felix", "Grace", "Hugo", "Ines", "Jonas", "Kira", "Leo", "Mara", "Noah",
    "Olga", "Paul", "Quinn", "Rosa", "Sam", "Tara", "Uma", "Vera", "Will", "Xenia", "Yara", "Zoe", "Amir", "Bela",
    "Chloe", "Diego", "Emil", "Fatima", "Goran", "Hana", "Ivan", "Julia", "Kofi", "Lena", "Mateo", "Nadia",
)  # fmt: skip
LAST = (
    "Abbott", "Baker", "Castillo", "Dimitrov", "Eriksen", "Fischer", "Garcia", "Huang", "Ivanova", "Jensen", "Kaplan",
    "Lopez", "Moreau", "Nguyen", "Okafor", "Patel", "Quist", "Rossi", "Schmidt", "Tanaka", "Ueda", "Vargas", "Weber",
    "Xu", "Young", "Zimmer", "Ahmed", "Brandt", "Cohen", "Duarte", "Engel", "Farkas", "Greene", "Hassan", "Iqbal",
    "Jovanovic", "Kim", "Larsen", "Mendes", "Novak",
)  # fmt: skip
STREETS = ("Oak Street", "Maple Avenue", "Mill Road", "Harbor Lane", "Park Place", "River Drive", "Hill Street")
CITIES = (("Springfield", "MA", "01103"), ("Worcester", "MA", "01608"), ("Hartford", "CT", "06103"))
RACES = (("2106-3",), ("2054-5",), ("2028-9",), ("1002-5",), ("2076-8",), ("2054-5", "2106-3"), ("ASKU",), ())
RACE_SHARES = (58, 13, 7, 2, 1, 4, 5, 10)
SPECIALTIES = (
    ("Family Medicine", "207Q00000X"),
    ("Internal Medicine", "207R00000X"),
    ("Pediatrics", "208000000X"),
    ("Cardiology", "207RC0000X"),
    ("Dermatology", "207N00000X"),
)
