"""What can become of a row: the reasons for which one is refused, left out or corrected, as they are reported."""

# refused: in rejects.parquet, and counted against source.max_rejects
NO_TIME = "no time"
UNREADABLE_TIME = "unreadable time"
UNREADABLE_TIME_OF_DAY = "unreadable time of day"
BAD_OFFSET = "impossible offset from UTC"
OTHER_ORDER = "day and month not in the order"  # followed by that order
MONTH_ONLY = "month only"
TOO_OLD = "before 1990"
FUTURE = "in the future"
NO_PLACE = "no coordinates"
UNREADABLE_PLACE = "unreadable coordinates"
NO_COUNT = "no count"
UNREADABLE_COUNT = "count that is no whole number"
COUNT_BELOW_ZERO = "count below zero"
COUNT_TOO_LARGE = "count above 100,000"
COUNTS = (NO_COUNT, UNREADABLE_COUNT, COUNT_BELOW_ZERO, COUNT_TOO_LARGE)
FAR_AWAY = "far from all other places"
OUTSIDE = "outside the bounds"
DUPLICATE = "duplicate id"
# refused, but not held against the file: two exports that overlap
OTHER_FILE = "id in a later file too"

# left out: counted only
NO_CATEGORY = "not in a category"
OTHER_PERIOD = "outside the chosen period"
NOT_COVERED = "outside the file's coverage"
BLANK_ROW = "blank row"
WITHDRAWAL = "withdrawal"
WITHDRAWN = "withdrawn report"
NOT_COUNTED = "count of zero"
DEFAULT_PLACE = "at a default place"
FORGOTTEN = "erased on request"
REPLACED = "replaced by a later row that is no event"

UNREAD_END = "unreadable end"
UNREAD_REPORT = "unreadable report time"
EARLY = "reported before it occurred"
GROUPED_COUNT = "count with separators of thousands"
# mended, and more than a slip where most places need it
EXCHANGED = "exchanged axes"
