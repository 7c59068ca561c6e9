#include "filter/ip.h"
#include "../core/desk.h"

static struct ip_conf conf;

static const char *list(struct span text, const struct cidr **out, uint32_t *count) {
    struct cidr *c = arena_zero(&desk.snapshot->arena, 2048 * sizeof *c);
    *out = c;
    *count = 0;
    while (text.n)
        if (!cidr_parse(span_trim(span_split(&text, ',')), &c[(*count)++]))
            return "no network";
    return NULL;
}

static const char *made(const char *allow, const char *deny) {
    conf = (struct ip_conf){0};
    const char *why = list(span_z(allow), &conf.allow.network, &conf.allow.networks);
    if (!why)
        why = list(span_z(deny), &conf.deny.network, &conf.deny.networks);
    return why ? why : ip_policy.finish(&desk.snapshot->arena, &conf);
}

static const struct {
    const char *allow, *deny, *client;
    enum ip_verdict want;
} rows[] = {
    {"10.0.0.0/8", "", "10.255.255.255", IP_PASSES},
    {"10.0.0.0/8", "", "11.0.0.0", IP_NOT_ALLOWED},
    {"10.0.0.0/8", "", "9.255.255.255", IP_NOT_ALLOWED},
    {"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", IP_DENIED},
    {"10.0.0.0/8", "10.1.0.0/16", "10.2.2.3", IP_PASSES},
    {"", "10.1.0.0/16", "192.0.2.1", IP_PASSES},
    {"10.1.2.3", "", "10.1.2.3", IP_PASSES},
    {"10.1.2.3", "", "10.1.2.4", IP_NOT_ALLOWED},
    {"10.1.2.77/25", "", "10.1.2.127", IP_PASSES}, /* host bits do not matter */
    {"10.1.2.77/25", "", "10.1.2.128", IP_NOT_ALLOWED},
    {"10.1.2.8/30", "", "10.1.2.7", IP_NOT_ALLOWED},
    {"10.1.2.8/30", "", "10.1.2.8", IP_PASSES},
    {"10.1.2.8/30", "", "10.1.2.11", IP_PASSES},
    {"10.1.2.8/30", "", "10.1.2.12", IP_NOT_ALLOWED},
    {"2001:db8::/32", "", "2001:db8:ffff::1", IP_PASSES},
    {"2001:db8::/32", "", "2001:db9::1", IP_NOT_ALLOWED},
    {"2001:db8::/33", "", "2001:db8:8000::", IP_NOT_ALLOWED},
    /* one address in two spellings */
    {"10.0.0.0/8", "", "::ffff:10.1.1.1", IP_PASSES},
    {"", "10.0.0.0/8", "::ffff:10.1.1.1", IP_DENIED},
    {"::ffff:10.0.0.0/104", "", "10.1.1.1", IP_PASSES},
    /* all of IPv4, all of IPv6 */
    {"0.0.0.0/0", "", "255.255.255.255", IP_PASSES},
    {"0.0.0.0/0", "", "2001:db8::1", IP_NOT_ALLOWED},
    {"::/0", "", "2001:db8::1", IP_PASSES},
    {"::/0", "", "::", IP_PASSES},
    {"::/0", "", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", IP_PASSES},
    {"::/0", "", "10.1.1.1", IP_NOT_ALLOWED},
    {"", "::/0", "10.1.1.1", IP_PASSES},
    {"", "::/0", "::ffff:10.1.1.1", IP_PASSES},
    {"0.0.0.0/0, ::/0", "", "10.1.1.1", IP_PASSES},
    {"0.0.0.0/0, ::/0", "", "2001:db8::1", IP_PASSES},
    {"::/64, 10.0.0.0/8", "", "10.1.1.1", IP_PASSES},
    /* neighbours, one within another, out of order */
    {"10.0.1.0/24, 10.0.0.0/24", "", "10.0.1.255", IP_PASSES},
    {"10.0.0.0/8, 10.0.0.0/24", "", "10.200.0.1", IP_PASSES},
    {"10.0.0.0/24, 10.0.0.0/8", "", "10.200.0.1", IP_PASSES},
    {"192.0.2.0/24, 10.0.0.0/8, 172.16.0.0/12", "", "172.31.255.255", IP_PASSES},
    {"192.0.2.0/24, 10.0.0.0/8, 172.16.0.0/12", "", "172.32.0.0", IP_NOT_ALLOWED},
    /* no address */
    {"0.0.0.0/0", "", "unix:/run/x.sock", IP_NOT_ALLOWED},
    {"", "0.0.0.0/0", "unix:/run/x.sock", IP_PASSES},
    {"0.0.0.0/0, ::/0", "", "", IP_NOT_ALLOWED},
};

static struct address address(const char *text) {
    struct address a = {.len = 0};
    assert_true(!*text || address_parse_ip(span_z(text), &a) || address_parse(span_z(text), &a));
    return a;
}

static void judged(void **state) {
    (void)state;
    desk_open();
    for (size_t i = 0; i < array_len(rows); i++) {
        struct address client = address(rows[i].client);
        assert_null(made(rows[i].allow, rows[i].deny));
        enum ip_verdict got = ip_judge(&conf, &client);
        if (got != rows[i].want)
            fail_msg("allow [%s] deny [%s]: %s is %d, not %d", rows[i].allow, rows[i].deny,
                     rows[i].client, (int)got, (int)rows[i].want);
    }
    desk_close();
}

static void needs_a_list(void **state) {
    (void)state;
    desk_open();
    assert_non_null(made("", ""));
    desk_close();
}

/* Sorted ranges say what a look at every network says. */
static void many(void **state) {
    (void)state;
    static char text[2048 * 24];
    desk_open();
    uint32_t seed = 4711, hits = 0;
    struct str s = str_on(text, sizeof text - 1);
    for (int i = 0; i < 1500; i++) {
        seed = seed * 1664525 + 1013904223;
        str_fmt(&s, "%s%u.%u.%u.0/%u", i ? "," : "", seed >> 24, seed >> 16 & 255, seed >> 8 & 255,
                14 + (seed >> 4) % 19);
    }
    text[s.n] = 0;
    assert_null(made(text, ""));
    assert_true(conf.allow.ranges < conf.allow.networks && conf.allow.ranges > 100);
    for (int i = 0; i < 20000; i++) {
        char ip[32];
        seed = seed * 1664525 + 1013904223;
        snprintf(ip, sizeof ip, "%u.%u.%u.%u", seed >> 24, seed >> 16 & 255, seed >> 8 & 255,
                 seed >> 4 & 255);
        struct address a = address(ip);
        bool in = false;
        for (uint32_t k = 0; k < conf.allow.networks; k++)
            in |= cidr_has(&conf.allow.network[k], &a);
        hits += in;
        assert_int_equal(ip_judge(&conf, &a), in ? IP_PASSES : IP_NOT_ALLOWED);
    }
    assert_true(hits > 100 && hits < 19900);
    desk_close();
}

static void ok_start(struct exchange *x) {
    x->resp.status = 200;
    body_end(&x->down_half.source, NULL);
    exchange_respond(x);
}
static const struct back_ops ok = {"ok", ok_start, NULL, NULL};

/* The client that trusted proxies name is meant, not the proxy. */
static void behind_a_proxy(void **state) {
    (void)state;
    desk_open();
    assert_null(made("10.0.0.0/8", ""));
    desk_run(desk_exchange("GET", "a.test", "/", "x-forwarded-for", "10.1.1.1", NULL), &ok, NULL,
             ip_policy.ops, &conf);
    assert_memory_equal(desk.head, "403", 3);
    assert_non_null(strstr(desk.body, "\"address_refused\""));
    desk_trust("192.0.2.0/24");
    desk_run(desk_exchange("GET", "a.test", "/", "x-forwarded-for", "10.1.1.1", NULL), &ok, NULL,
             ip_policy.ops, &conf);
    assert_memory_equal(desk.head, "200", 3);
    desk_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judged),
        cmocka_unit_test(needs_a_list),
        cmocka_unit_test(many),
        cmocka_unit_test(behind_a_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
