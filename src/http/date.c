#include "http/h1.h"

/* Days since 1970-01-01 to a date of the Gregorian calendar: years that begin in March, so that the
 * leap day is a year's last, in eras of 400 of them. */
static void civil(int64_t days, int *year, unsigned *month, unsigned *day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = (int)(yoe + era * 400) + (*month <= 2);
}

static void put2(char *to, unsigned v) {
    to[0] = (char)('0' + v / 10 % 10);
    to[1] = (char)('0' + v % 10);
}

void http_date(int64_t seconds, char out[29]) {
    static const char days[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const int64_t last = 253402300799; /* 9999: the form has four digits for the year */
    int64_t t = seconds < 0 ? 0 : seconds > last ? last : seconds;
    unsigned rest = (unsigned)(t % 86400), month, day;
    int year;
    civil(t / 86400, &year, &month, &day);
    memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", 29);
    memcpy(out, days + 3 * (t / 86400 % 7), 3);
    put2(out + 5, day);
    memcpy(out + 8, months + 3 * (month - 1), 3);
    put2(out + 12, (unsigned)year / 100);
    put2(out + 14, (unsigned)year % 100);
    put2(out + 17, rest / 3600);
    put2(out + 20, rest / 60 % 60);
    put2(out + 23, rest % 60);
}
