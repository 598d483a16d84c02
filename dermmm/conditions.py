"""The label space: 25 skin conditions and healthy skin, and how to find their names in a text.

Order and names are fixed: an index into ``CONDITIONS`` is a class of every model.

>>> names_in("Looks like psoriasis, or perhaps a BCC.") == {"psoriasis", "basal cell carcinoma"}
True
>>> mask_names("Is this psoriatic?")
'Is this [condition]?'
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """One class of the models.

    ``group`` is "tumour", "inflammatory", "infectious" or "none". ``icd10`` is the ICD-10-CM code
    of the unspecified form, "" for healthy skin, which is no diagnosis. ``synonyms`` hold other
    names, subtypes and adjectives in the singular; plurals and hyphens are found by themselves.
    """

    name: str
    group: str
    synonyms: tuple[str, ...]
    icd10: str
    description: str


CONDITIONS: tuple[Condition, ...] = (
    Condition(
        "actinic keratosis",
        "tumour",
        (
            "solar keratosis",
            "senile keratosis",
            "actinic cheilitis",
            "AK",
            "ACK",
        ),
        "L57.0",
        "A rough, scaly patch on skin that has had years of sun; it can turn into skin cancer.",
    ),
    Condition(
        "basal cell carcinoma",
        "tumour",
        (
            "basal cell cancer",
            "basal cell skin cancer",
            "basal cell epithelioma",
            "basal cell tumor",
            "basal cell tumour",
            "basal cell ca",
            "basalioma",
            "rodent ulcer",
            "BCC",
        ),
        "C44.91",
        "The most common skin cancer: slow growing, often pearly or crusted, and rarely spreading.",
    ),
    Condition(
        "squamous cell carcinoma",
        "tumour",
        (
            "squamous cell cancer",
            "squamous cell skin cancer",
            "squamous cell ca",
            "squamous carcinoma",
            "epidermoid carcinoma",
            "bowen's disease",
            "bowen disease",
            "bowen's",
            "keratoacanthoma",
            "SCC",
            "cSCC",
            "SCCIS",
            "KA",
        ),
        "C44.92",
        "A skin cancer of the outer layer: a firm, scaly or crusted lump that may ulcerate.",
    ),
    Condition(
        "melanoma",
        "tumour",
        (
            "malignant melanoma",
            "melanoma in situ",
            "amelanotic melanoma",
            "lentigo maligna",
            "malignant lentigo",
            "malignant mole",
            "melanocarcinoma",
            "melanomatous",
        ),
        "C43.9",
        "A dangerous skin cancer of pigment cells, often an uneven, changing dark spot.",
    ),
    Condition(
        "melanocytic nevus",
        "tumour",
        (
            "melanocytic naevus",
            "nevus",
            "naevus",
            "mole",
            "beauty mark",
            "pigmented nevus",
            "atypical nevus",
            "dysplastic nevus",
            "nevocellular",
        ),
        "D22.9",
        "A common mole: a harmless cluster of pigment cells, usually even in colour and outline.",
    ),
    Condition(
        "benign keratosis",
        "tumour",
        (
            "seborrheic keratosis",
            "seborrhoeic keratosis",
            "seborrhoic keratosis",
            "inflamed seborrheic keratosis",
            "seborrheic wart",
            "seborrhoeic wart",
            "senile wart",
            "senile verruca",
            "verruca senilis",
            "basal cell papilloma",
            "stucco keratosis",
            "dermatosis papulosa nigra",
            "lichen planus like keratosis",
            "benign lichenoid keratosis",
            "lichenoid keratosis",
            "solar lentigo",
            "senile lentigo",
            "actinic lentigo",
            "ink spot lentigo",
            "lentigo senilis",
            "age spot",
            "liver spot",
            "senile plaque",
            "LPLK",
            "ISK",
            "SK",
        ),
        "L82.1",
        "A harmless, often waxy or stuck-on looking brown growth that comes with age.",
    ),
    Condition(
        "dermatofibroma",
        "tumour",
        (
            "fibrous histiocytoma",
            "benign fibrous histiocytoma",
            "histiocytoma",
            "sclerosing hemangioma",
            "DF",
        ),
        "D23.9",
        "A small, firm, harmless bump of scar-like tissue, often on the legs.",
    ),
    Condition(
        "vascular lesion",
        "tumour",
        (
            "hemangioma",
            "haemangioma",
            "angioma",
            "angiomatous",
            "cherry spot",
            "angiokeratoma",
            "pyogenic granuloma",
            "granuloma pyogenicum",
            "suppurative granuloma",
            "purulent granuloma",
            "lobular capillary hemangioma",
            "port wine stain",
            "nevus flammeus",
            "naevus flammeus",
            "spider nevus",
            "spider naevus",
            "vascular nevus",
            "strawberry nevus",
            "strawberry naevus",
            "red mole",
            "vascular malformation",
            "venous lake",
        ),
        "D18.01",
        "A harmless red or purple spot or lump made of small blood vessels.",
    ),
    Condition(
        "keloid",
        "tumour",
        ("keloid scar", "keloidal", "cheloid"),
        "L91.0",
        "A firm, raised scar that grows beyond the wound it came from.",
    ),
    Condition(
        "mycosis fungoides",
        "tumour",
        (
            "cutaneous t cell lymphoma",
            "cutaneous lymphoma",
            "t cell lymphoma of the skin",
            "skin lymphoma",
            "sezary syndrome",
            "sézary syndrome",
            "fungoid granuloma",
            "granuloma fungoides",
            "CTCL",
            "MF",
        ),
        "C84.00",
        "A slow lymphoma of the skin that begins as scaly patches and may thicken over years.",
    ),
    Condition(
        "acne",
        "inflammatory",
        (
            "acne vulgaris",
            "acne conglobata",
            "cystic acne",
            "comedonal acne",
            "hormonal acne",
            "steroid acne",
        ),
        "L70.9",
        "Blocked, inflamed hair follicles: blackheads, pimples and sometimes deep lumps.",
    ),
    Condition(
        "eczema",
        "inflammatory",
        (
            "eczematous",
            "exzema",
            "excema",
            "atopic dermatitis",
            "contact dermatitis",
            "allergic contact dermatitis",
            "irritant contact dermatitis",
            "allergic dermatitis",
            "seborrheic dermatitis",
            "seborrhoeic dermatitis",
            "nummular dermatitis",
            "dyshidrotic dermatitis",
            "hand dermatitis",
            "acute dermatitis",
            "chronic dermatitis",
            "eczematous dermatitis",
            "neurodermatitis",
            "neurodermitis",
            "dyshidrosis",
            "pompholyx",
            "lichen simplex",
            "lichen simplex chronicus",
            "LSC",
        ),
        "L30.9",
        "Itchy, inflamed skin (dermatitis): red and oozing when new, dry and thick when old.",
    ),
    Condition(
        "psoriasis",
        "inflammatory",
        (
            "psoriatic",
            "psoriasis vulgaris",
            "plaque psoriasis",
            "guttate psoriasis",
            "inverse psoriasis",
            "pustular psoriasis",
        ),
        "L40.9",
        "Well-marked red plaques with silvery scale, often on elbows, knees and scalp.",
    ),
    Condition(
        "lichen planus",
        "inflammatory",
        (
            "lichen ruber",
            "lichen ruber planus",
            "lichen planopilaris",
            "flat lichen",
            "flat lichen planus",
            "LP",
        ),
        "L43.9",
        "Itchy, flat-topped purple bumps, often on the wrists, sometimes in the mouth.",
    ),
    Condition(
        "pityriasis rosea",
        "inflammatory",
        (
            "rosea pityriasis",
            "rose pityriasis",
            "pityriasis rose",
            "pityriasis rosea gibert",
            "christmas tree rash",
        ),
        "L42",
        "A rash of oval, finely scaling patches on the trunk that heals by itself within weeks.",
    ),
    Condition(
        "folliculitis",
        "inflammatory",
        (
            "follicular infection",
            "malassezia folliculitis",
            "pityrosporum folliculitis",
            "bacterial folliculitis",
            "hot tub rash",
            "sycosis",
        ),
        "L73.9",
        "Inflamed hair follicles: small red or pus-filled bumps, each around a hair.",
    ),
    Condition(
        "prurigo nodularis",
        "inflammatory",
        (
            "nodular prurigo",
            "prurigo nodule",
            "nodular prurigo of hyde",
            "PN",
        ),
        "L28.1",
        "Very itchy, hard bumps that come from long scratching, mostly on arms and legs.",
    ),
    Condition(
        "lupus erythematosus",
        "inflammatory",
        (
            "lupus",
            "cutaneous lupus",
            "discoid lupus",
            "red lupus",
            "subacute cutaneous lupus",
            "lupus panniculitis",
            "lupus profundus",
            "DLE",
            "SLE",
            "SCLE",
            "LE",
        ),
        "L93.0",
        "An autoimmune disease; on the skin, red scaly patches mostly where the sun reaches.",
    ),
    Condition(
        "urticaria",
        "inflammatory",
        ("urticarial", "hives", "nettle rash", "dermographism", "dermatographism", "CSU"),
        "L50.9",
        "Hives: itchy, raised weals that come quickly and move within hours.",
    ),
    Condition(
        "vitiligo",
        "inflammatory",
        ("vitiliginous", "leukoderma", "leucoderma"),
        "L80",
        "White patches where the skin has lost its pigment cells.",
    ),
    Condition(
        "scabies",
        "infectious",
        (
            "scabietic",
            "scabious",
            "scabie",
            "sarcoptes",
            "sarcoptic mange",
            "itch mite",
            "scabies mite",
        ),
        "B86",
        "A very itchy, catching infestation by a mite that burrows in the skin.",
    ),
    Condition(
        "chickenpox",
        "infectious",
        ("varicella", "chicken pox", "waterpox", "water pox"),
        "B01.9",
        "A catching virus infection with fever and itchy blisters in crops all over the body.",
    ),
    Condition(
        "measles",
        "infectious",
        ("rubeola", "morbilli"),
        "B05.9",
        "A very catching virus infection: fever, cough, and a red rash that starts on the face.",
    ),
    Condition(
        "mpox",
        "infectious",
        ("monkeypox", "monkey pox", "m pox", "MPXV", "MPX"),
        "B04",
        "A virus infection with fever and deep, firm blisters that become pustules and crusts.",
    ),
    Condition(
        "hand, foot and mouth disease",
        "infectious",
        (
            "hand foot mouth disease",
            "hand foot and mouth",
            "hand foot & mouth disease",
            "hand foot & mouth",
            "hand foot mouth",
            "coxsackie",
            "coxsackievirus",
            "HFMD",
        ),
        "B08.4",
        "A childhood virus infection with small blisters on hands and feet and in the mouth.",
    ),
    Condition(
        "healthy skin",
        "none",
        ("normal skin", "healthy normal skin", "normal healthy skin", "healthy looking skin"),
        "",
        "Skin without a visible disease.",
    ),
)

NAMES: tuple[str, ...] = tuple(condition.name for condition in CONDITIONS)
INDEX: dict[str, int] = {name: index for index, name in enumerate(NAMES)}

# Phrases that contain or resemble a name of ours but mean something else, or too little to tell.
# They are masked, because the words give a hint, but they name no condition.
LOOK_ALIKES: tuple[str, ...] = (
    "dermatitis",  # by itself, or with a cause that is not in the label map
    "psoriasiform",
    "parapsoriasis",
    "psoriatic arthritis",
    "acneiform",
    "acne rosacea",
    "acne inversa",
    "acne keloidalis",
    "propionibacterium acnes",
    "cutibacterium acnes",
    "eczema herpeticum",
    "herpetic eczema",
    "eczematoid",
    "autosensitization",
    "lichenoid dermatitis",
    "lupus vulgaris",
    "lupus pernio",
    "lupus miliaris",
    "papular urticaria",
    "popular urticaria",
    "pupalar urticaria",
    "urticaria papulosa",
    "urticaria papule",
    "urticarial papule",
    "urticaria pigmentosa",
    "pigmentary urticaria",
    "urticarial vasculitis",
    "prurigo",
    "simple prurigo",
    "actinic prurigo",
    "pseudofolliculitis",
    "folliculitis decalvans",
    "german measles",
    "morbilliform",
    "measles like",
    "measles type",
    "varicella zoster",
    "guttate leukoderma",
    "chemical leukoderma",
    "surrounding normal skin",
    "surrounding healthy skin",
    "adjacent normal skin",
    *(
        f"{kind} {nevus}"
        for nevus in ("nevus", "naevus")
        for kind in (
            "achromic",
            "amelanotic",
            "anemic",
            "becker",
            "becker's",
            "connective tissue",
            "depigmented",
            "epidermal",
            "epithelial",
            "hair follicle",
            "linear",
            "ota",
            "organoid",
            "sebaceous",
            "sebaceous gland",
            "sweat gland",
            "verrucous",
        )
    ),
    "nevus of ota",
    "nevus of ito",
    "nevus anemicus",
    "nevus comedonicus",
    "nevus depigmentosus",
    "nevus lipomatosus",
    "nevus sebaceous",
    "nevus sebaceus",
    "anemia mole",
)

# The ending of a name, and what may stand there in singular and plural; the first that fits.
_ENDINGS = (
    ("sis", "s[ie]s"),
    ("us", "(?:us|i|uses)"),
    ("oma", "oma(?:s|ta)?"),
    ("lentigo", "lentig(?:os?|ines)"),
    ("y", "(?:y|ies)"),
    ("s", "s"),
)


def _pattern(phrase: str) -> str:
    """Return the regular expression of ``phrase`` and its plural, with any hyphens and commas."""
    stem, ending = phrase, "(?:s|es)?"
    for singular, either in _ENDINGS:
        if phrase.endswith(singular):
            stem, ending = phrase.removesuffix(singular), either
            break
    body = re.escape(stem).replace(r"\ ", r"[\s,/-]+").replace("'", "['’]?") + ending
    # Two capitals are an abbreviation ("SK"); in lower case they may be anything.
    capitals_only = len(phrase) == 2 and phrase.isupper()
    return body if capitals_only else f"(?i:{body})"


_MEANINGS: dict[str, str] = {
    **{
        phrase: condition.name
        for condition in CONDITIONS
        for phrase in (condition.name.replace(",", ""), *condition.synonyms)
    },
    **dict.fromkeys(LOOK_ALIKES, ""),
}
_PHRASES = sorted(_MEANINGS, key=lambda phrase: (-len(phrase), phrase))  # the longest wins
_ANY_NAME = re.compile(
    r"(?<!\w)(?:" + "|".join(f"({_pattern(phrase)})" for phrase in _PHRASES) + r")(?!\w)"
)


def mask_names(text: str, mask: str = "[condition]") -> str:
    """Return ``text`` with every condition name, synonym and look-alike replaced by ``mask``."""
    return _ANY_NAME.sub(lambda _: mask, text)


def names_in(text: str) -> set[str]:
    """Return the conditions that ``text`` mentions, a subset of ``NAMES``.

    A mention is no diagnosis: "no psoriasis" mentions psoriasis.
    """
    phrases = (_PHRASES[(match.lastindex or 0) - 1] for match in _ANY_NAME.finditer(text))
    return {_MEANINGS[phrase] for phrase in phrases} - {""}


# Codes: with a dot any of ICD-10, e.g. "L20.9"; without one only ours, as "B12" may be a vitamin.
# Of ICD-11 the chapters of our conditions: infections, tumours, immune system, skin, and the
# vascular malformations among the inborn. "1h30" is a time and no code.
_OURS = "|".join(sorted({one.icd10.split(".")[0] for one in CONDITIONS if one.icd10}))
_CODE = re.compile(
    rf"\b(?:[A-Z]\d[\dA-Z]\.\d[\dA-Z]{{0,3}}|(?:{_OURS})\d{{0,3}}"
    r"|(?:1[A-G]|2[A-F]|4[AB]|E[A-M]|L[A-D])\d[\dA-Z](?:\.[\dA-Z]{1,2})?)\b",
    re.IGNORECASE,
)


def says_a_name_or_code(text: str) -> bool:
    """Whether ``text`` holds a condition's name, a synonym, a look-alike or a diagnosis code.

    What `mask_names` has masked does not count. Codes are those of ICD-10 and ICD-11, in either
    case; a code without a dot only where it is one of our conditions or chapters.

    >>> says_a_name_or_code("Seen for l20.9, then EA80."), says_a_name_or_code("Perhaps a mole.")
    (True, True)
    >>> says_a_name_or_code("I had a [condition] and take vitamin B12.")
    False
    """
    return mask_names(text) != text or _CODE.search(text) is not None
