/*
 * The chip's side of PACE and of chip authentication, by OpenPACE (libeac) and
 * OpenSSL: a counterpart of the terminal that shares no line of code with it.
 *
 *   peer gm|im|cam OID PARAMETERS CAN [STATIC-KEY]
 *   peer ca OID PARAMETERS PRIVATE PUBLIC
 *
 * reads one message a line, in hexadecimal, and answers with one line: for
 * PACE an empty line (the nonce is asked for), mapping data, a public key, a
 * token; for chip authentication a public key. The session keys end the
 * conversation. A line that begins with "!" says what failed.
 *
 * libeac does the generic mapping, key agreement, key derivation and tokens.
 * It knows the integrated mapping of an early draft only, and no chip
 * authentication mapping: what ICAO Doc 9303-11 (sections 4.4.3.3.2 and
 * 4.4.3.5) says of those is computed here with OpenSSL.
 */
#include <eac/ca.h>
#include <eac/eac.h>
#include <eac/pace.h>
#include <openssl/bn.h>
#include <openssl/dh.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what)
{
    printf("!%s\n", what);
    exit(1);
}

#define CHECK(x) do { if (!(x)) fail(#x); } while (0)

static BUF_MEM *buffer(const unsigned char *data, size_t n)
{
    BUF_MEM *b = BUF_MEM_new();
    CHECK(b && BUF_MEM_grow(b, n) == n);
    if (n)
        memcpy(b->data, data, n);
    return b;
}

static BUF_MEM *unhex(const char *s)
{
    static unsigned char raw[4096];
    size_t n = 0;
    unsigned v;
    for (; sscanf(s, "%2x", &v) == 1; s += 2) {
        CHECK(n < sizeof raw && s[1]);
        raw[n++] = (unsigned char)v;
    }
    return buffer(raw, n);
}

static void put(const BUF_MEM *b)
{
    for (size_t i = 0; i < b->length; i++)
        printf("%02X", (unsigned char)b->data[i]);
}

static void answer(const BUF_MEM *b)
{
    CHECK(b);
    put(b);
    printf("\n");
    fflush(stdout);
}

static BUF_MEM *message(void)
{
    static char line[9000];
    CHECK(fgets(line, sizeof line, stdin));
    return unhex(line);
}

/* encrypt is CBC without padding. */
static BUF_MEM *encrypt(const EVP_CIPHER *type, const void *key, const unsigned char *iv, const BUF_MEM *in)
{
    static const unsigned char zero[16];
    BUF_MEM *out = buffer((const unsigned char *)in->data, in->length);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;
    CHECK(c && EVP_EncryptInit_ex(c, type, NULL, key, iv ? iv : zero));
    EVP_CIPHER_CTX_set_padding(c, 0);
    CHECK(EVP_EncryptUpdate(c, (unsigned char *)out->data, &n, (const unsigned char *)in->data, (int)in->length));
    CHECK(n == (int)in->length);
    EVP_CIPHER_CTX_free(c);
    return out;
}

static int strong(const EVP_CIPHER *type) /* AES-192 and AES-256 */
{
    return EVP_CIPHER_key_length(type) > 16;
}

/* pseudo_random is Rp(s,t), section 4.4.3.3.2, figure 2. */
static BIGNUM *pseudo_random(const EVP_CIPHER *type, const BUF_MEM *s, const BUF_MEM *t, const BIGNUM *p, BN_CTX *bn)
{
    BUF_MEM *c0 = unhex(strong(type) ? "D463D65234124EF7897054986DCA0A174E28DF758CBAA03F240616414D5A1676" : "A668892A7C41E3CA739F40B057D85904");
    BUF_MEM *c1 = unhex(strong(type) ? "54BD7255F0AAF831BEC3423FCF39D69B6CBF066677D0FAAE5AADD99DF8E53517" : "A4E136AC725F738B01C1F60217C188AD");
    BUF_MEM *key = encrypt(type, t->data, NULL, s);
    unsigned char x[512];
    size_t n = 0;
    BIGNUM *r;
    while (n * 8 < (size_t)BN_num_bits(p) + 64) {
        BUF_MEM *block = encrypt(type, key->data, NULL, c1);
        CHECK(n + block->length <= sizeof x);
        memcpy(x + n, block->data, block->length);
        n += block->length;
        key = encrypt(type, key->data, NULL, c0);
    }
    CHECK(r = BN_bin2bn(x, (int)n, NULL));
    CHECK(BN_nnmod(r, r, p, bn));
    return r;
}

/*
 * map_point is the point encoding of appendix B.1: of two abscissas the one
 * whose right hand side is a square, with the sign that falls out of the
 * root h^((p+1)/4).
 */
static EC_POINT *map_point(const EC_GROUP *g, const BIGNUM *t, BN_CTX *bn)
{
    BIGNUM *p = BN_new(), *a = BN_new(), *b = BN_new(), *alpha = BN_new(), *v = BN_new(), *x = BN_new();
    BIGNUM *h = BN_new(), *y = BN_new(), *e = BN_new(), *w = BN_new();
    EC_POINT *out = EC_POINT_new(g);
    CHECK(out && EC_GROUP_get_curve(g, p, a, b, bn));
    /* alpha = -t^2, x = -b/a * (1 + 1/(alpha + alpha^2)) */
    CHECK(BN_mod_sqr(alpha, t, p, bn) && BN_mod_sub(alpha, p, alpha, p, bn));
    CHECK(BN_mod_sqr(v, alpha, p, bn) && BN_mod_add(v, v, alpha, p, bn) && BN_mod_inverse(v, v, p, bn));
    CHECK(BN_add_word(v, 1) && BN_mod_mul(v, v, b, p, bn) && BN_mod_inverse(w, a, p, bn));
    CHECK(BN_mod_mul(v, v, w, p, bn) && BN_mod_sub(x, p, v, p, bn));
    /* h = x^3 + ax + b, y = h^((p+1)/4) */
    CHECK(BN_mod_sqr(h, x, p, bn) && BN_mod_add(h, h, a, p, bn) && BN_mod_mul(h, h, x, p, bn) && BN_mod_add(h, h, b, p, bn));
    CHECK(BN_copy(e, p) && BN_add_word(e, 1) && BN_rshift(e, e, 2) && BN_mod_exp(y, h, e, p, bn));
    CHECK(BN_mod_sqr(w, y, p, bn));
    if (BN_cmp(w, h) != 0) { /* x is alpha times as much, y is -t^3 times as much */
        CHECK(BN_mod_mul(x, x, alpha, p, bn));
        CHECK(BN_mod_mul(y, y, alpha, p, bn) && BN_mod_mul(y, y, t, p, bn));
    }
    CHECK(EC_POINT_set_affine_coordinates(g, out, x, y, bn));
    return out;
}

static int integrated(PACE_CTX *ctx, const BUF_MEM *s, const BUF_MEM *t, BN_CTX *bn)
{
    BIGNUM *p = BN_new(), *order = BN_new(), *cofactor = BN_new();
    if (EVP_PKEY_base_id(ctx->static_key) == EVP_PKEY_EC) {
        EC_KEY *key = EC_KEY_dup(EVP_PKEY_get0_EC_KEY(ctx->static_key));
        EC_GROUP *g = EC_GROUP_dup(EC_KEY_get0_group(key));
        CHECK(EC_GROUP_get_curve(g, p, NULL, NULL, bn) && EC_GROUP_get_order(g, order, bn) && EC_GROUP_get_cofactor(g, cofactor, bn));
        EC_POINT *mapped = map_point(g, pseudo_random(ctx->ka_ctx->cipher, s, t, p, bn), bn);
        CHECK(EC_GROUP_set_generator(g, mapped, order, cofactor) && EC_KEY_set_group(key, g));
        return EVP_PKEY_set1_EC_KEY(ctx->ka_ctx->key, key);
    }
    const BIGNUM *dp, *dq, *dg;
    DH *mapped = DH_new();
    DH_get0_pqg(EVP_PKEY_get0_DH(ctx->static_key), &dp, &dq, &dg);
    BIGNUM *u = pseudo_random(ctx->ka_ctx->cipher, s, t, dp, bn);
    CHECK(BN_copy(cofactor, dp) && BN_sub_word(cofactor, 1) && BN_div(cofactor, NULL, cofactor, dq, bn));
    CHECK(BN_mod_exp(u, u, cofactor, dp, bn) && !BN_is_one(u));
    CHECK(DH_set0_pqg(mapped, BN_dup(dp), BN_dup(dq), u));
    return EVP_PKEY_set1_DH(ctx->ka_ctx->key, mapped);
}

/*
 * long_nonce makes the nonce of the integrated mapping, which is as long as
 * the key in whole blocks; libeac's has one block.
 */
static BUF_MEM *long_nonce(const EAC_CTX *ctx, const char *can)
{
    const EVP_CIPHER *type = ctx->pace_ctx->ka_ctx->cipher;
    unsigned char in[64], key[EVP_MAX_MD_SIZE], raw[32];
    size_t n = strlen(can);
    CHECK(n < 60);
    memcpy(in, can, n);
    memcpy(in + n, "\0\0\0\3", 4);
    CHECK(EVP_Digest(in, n + 4, key, NULL, strong(type) ? EVP_sha256() : EVP_sha1(), NULL));
    CHECK(RAND_bytes(raw, sizeof raw) == 1);
    ctx->pace_ctx->nonce = buffer(raw, strong(type) ? 32 : 16);
    return encrypt(type, key, NULL, ctx->pace_ctx->nonce);
}

/* proof is the encrypted chip authentication data, section 4.4.3.5. */
static BUF_MEM *proof(const EAC_CTX *ctx, const char *static_key)
{
    const KA_CTX *ka = ctx->pace_ctx->ka_ctx;
    const EC_KEY *map = EVP_PKEY_get0_EC_KEY(ctx->pace_ctx->static_key);
    const BIGNUM *n = EC_GROUP_get0_order(EC_KEY_get0_group(map));
    BIGNUM *ca = NULL;
    unsigned char ones[16], plain[96];
    int size = BN_num_bytes(n), padded = size / 16 * 16 + 16;
    CHECK(BN_hex2bn(&ca, static_key) && BN_mod_inverse(ca, ca, n, ctx->bn_ctx));
    CHECK(BN_mod_mul(ca, ca, EC_KEY_get0_private_key(map), n, ctx->bn_ctx));
    memset(plain, 0, sizeof plain);
    CHECK(BN_bn2binpad(ca, plain, size) == size);
    plain[size] = 0x80;
    memset(ones, 0xFF, sizeof ones);
    BUF_MEM *iv = encrypt(ka->cipher, ka->k_enc->data, NULL, buffer(ones, sizeof ones));
    return encrypt(ka->cipher, ka->k_enc->data, (unsigned char *)iv->data, buffer(plain, (size_t)padded));
}

static void keys(const KA_CTX *ka)
{
    CHECK(ka->k_enc && ka->k_mac);
    put(ka->k_enc);
    printf(" ");
    answer(ka->k_mac);
}

/*
 * protocol gives the number of an object identifier that libeac knows. The
 * chip authentication mapping runs as the generic one until its tokens, which
 * name the protocol.
 */
static int protocol(const char *mode, const char *oid, int *named)
{
    char known[64];
    CHECK(strlen(oid) < sizeof known);
    strcpy(known, oid);
    *named = 0;
    if (!strcmp(mode, "cam")) {
        CHECK(*named = OBJ_create(oid, "cam", "chip authentication mapping"));
        known[strlen("0.4.0.127.0.7.2.2.4.")] = '2';
    }
    int nid = OBJ_txt2nid(known);
    CHECK(nid != NID_undef);
    return nid;
}

static void pace(EAC_CTX *ctx, char **arg)
{
    const char *mode = arg[0], *can = arg[3];
    int named, nid = protocol(mode, arg[1], &named), im = !strcmp(mode, "im");
    if (im)
        ctx->tr_version = EAC_TR_VERSION_2_01; /* the later ones know it no more */
    CHECK(EAC_CTX_init_pace(ctx, nid, atoi(arg[2])));
    ctx->tr_version = EAC_TR_VERSION_2_02;
    if (im)
        ctx->pace_ctx->map_compute_key = integrated;
    PACE_SEC *secret = PACE_SEC_new(can, strlen(can), PACE_CAN);
    CHECK(secret);

    message();
    answer(im ? long_nonce(ctx, can) : PACE_STEP1_enc_nonce(ctx, secret));
    BUF_MEM *in = message();
    BUF_MEM *own = im ? buffer(NULL, 0) : PACE_STEP3A_generate_mapping_data(ctx);
    CHECK(own && PACE_STEP3A_map_generator(ctx, in));
    answer(own);
    BUF_MEM *terminal = message();
    CHECK(own = PACE_STEP3B_generate_ephemeral_key(ctx));
    CHECK(PACE_STEP3B_compute_shared_secret(ctx, terminal) && PACE_STEP3C_derive_keys(ctx));
    answer(own);
    in = message();
    if (named)
        ctx->pace_ctx->protocol = named;
    BUF_MEM *want = PACE_STEP3D_compute_authentication_token(ctx, own);
    CHECK(want && want->length == in->length);
    if (memcmp(want->data, in->data, in->length)) {
        printf("!token\n");
        exit(0);
    }
    BUF_MEM *token = PACE_STEP3D_compute_authentication_token(ctx, terminal);
    CHECK(token);
    put(token);
    if (named) {
        printf(" ");
        put(proof(ctx, arg[4]));
    }
    printf("\n");
    keys(ctx->pace_ctx->ka_ctx);
}

static void chip_authentication(EAC_CTX *ctx, char **arg)
{
    int named, nid = protocol(arg[0], arg[1], &named);
    BUF_MEM *private = unhex(arg[3]), *public = unhex(arg[4]);
    CHECK(EAC_CTX_init_ca(ctx, nid, atoi(arg[2])));
    CHECK(CA_set_key(ctx, (unsigned char *)private->data, private->length, (unsigned char *)public->data, public->length));
    CHECK(CA_STEP4_compute_shared_secret(ctx, message()));
    /* Version 1 derives the keys without a nonce and has no token. */
    CA_STEP6_derive_keys(ctx, NULL, buffer((const unsigned char *)"12345678", 8));
    keys(ctx->ca_ctx->ka_ctx);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        fail("usage: peer gm|im|cam|ca OID PARAMETERS ...");
    EAC_init();
    EAC_CTX *ctx = EAC_CTX_new();
    CHECK(ctx);
    if (!strcmp(argv[1], "ca")) {
        if (argc < 6)
            fail("the key is missing");
        chip_authentication(ctx, argv + 1);
    } else {
        if (!strcmp(argv[1], "cam") && argc < 6)
            fail("the static key is missing");
        pace(ctx, argv + 1);
    }
    return 0;
}
