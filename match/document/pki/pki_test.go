package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/internal/ber"
	"gateagent/internal/ec"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestOID(t *testing.T) {
	for _, s := range []string{"1.2.840.113549.1.1.11", "2.16.840.1.101.3.4.2.1", "0.4.0.127.0.7.2.2.4.2.2", "2.999.1", "1.3.36", "2.5.4.6"} {
		v := must[[]byte](t)(ber.Expect(EncodeOID(s), ber.OID))
		if got, err := OID(v); err != nil || got != s {
			t.Errorf("%s: %s %v", s, got, err)
		}
	}
	for _, s := range []string{"", "1", "3.1", "1.40", "1.x", "1.2.-3"} {
		if EncodeOID(s) != nil {
			t.Errorf("%q is encoded", s)
		}
	}
	for _, b := range [][]byte{nil, {0x80}, {0x2A, 0x86}, {0x2A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, make([]byte, 65)} {
		if got, err := OID(b); err == nil {
			t.Errorf("%X is %s", b, got)
		}
	}
}

// sharedRSA is slow to make, so all tests share it.
var sharedRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1536) })

func rsaKey(t testing.TB) (*rsa.PrivateKey, *PublicKey) {
	k := must[*rsa.PrivateKey](t)(sharedRSA())
	spki := must[[]byte](t)(x509.MarshalPKIXPublicKey(&k.PublicKey))
	return k, must[*PublicKey](t)(ParseKey(spki))
}

func TestRSA(t *testing.T) {
	priv, pub := rsaKey(t)
	msg := []byte("message")
	for oid, h := range hashes {
		sig := must[[]byte](t)(rsa.SignPKCS1v15(rand.Reader, priv, h, Sum(h, msg)))
		a := Algorithm{Scheme: SchemePKCS1, Hash: h}
		verifies(t, a.String(), pub, a, msg, sig)

		// The same without NULL in the digest info, as some signers write it.
		info := ber.Make(ber.Sequence, ber.Make(ber.Sequence, EncodeOID(oid)), ber.Make(ber.OctetString, Sum(h, msg)))
		em := append([]byte{0, 1}, []byte(strings.Repeat("\xFF", priv.Size()-3-len(info)))...)
		em = append(append(em, 0), info...)
		s := new(big.Int).Exp(new(big.Int).SetBytes(em), priv.D, priv.N).FillBytes(make([]byte, priv.Size()))
		verifies(t, a.String()+" without NULL", pub, a, msg, s)

		for _, salt := range []int{0, 20, h.Size()} {
			sig := must[[]byte](t)(rsa.SignPSS(rand.Reader, priv, h, Sum(h, msg), &rsa.PSSOptions{SaltLength: salt}))
			if salt == 0 { // means "as long as possible" to crypto/rsa
				salt = (priv.N.BitLen()-1+7)/8 - 2 - h.Size()
			}
			a := Algorithm{Scheme: SchemePSS, Hash: h, MGF: h, Salt: salt}
			verifies(t, a.String(), pub, a, msg, sig)
			a.Salt++
			if pub.Verify(a, msg, sig) == nil {
				t.Errorf("%v: another salt length verifies", a)
			}
			a.Salt, a.MGF = salt, otherHash(h)
			if pub.Verify(a, msg, sig) == nil {
				t.Errorf("%v: another mask function verifies", a)
			}
		}
	}
	only := *pub
	only.PSSOnly = true
	sig := must[[]byte](t)(rsa.SignPKCS1v15(rand.Reader, priv, crypto.SHA256, Sum(crypto.SHA256, msg)))
	if only.Verify(Algorithm{Scheme: SchemePKCS1, Hash: crypto.SHA256}, msg, sig) == nil {
		t.Error("a key for PSS alone verifies PKCS#1")
	}
}

func otherHash(h crypto.Hash) crypto.Hash {
	if h == crypto.SHA1 {
		return crypto.SHA256
	}
	return crypto.SHA1
}

// verifies checks that a signature holds and that nothing near it does.
func verifies(t *testing.T, name string, k *PublicKey, a Algorithm, msg, sig []byte) {
	t.Helper()
	if err := k.Verify(a, msg, sig); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if k.Verify(a, append([]byte("x"), msg...), sig) == nil {
		t.Errorf("%s: another message verifies", name)
	}
	b := a
	b.Hash = otherHash(a.Hash)
	if k.Verify(b, msg, sig) == nil {
		t.Errorf("%s: another hash verifies", name)
	}
	for _, i := range []int{0, len(sig) / 2, len(sig) - 1} {
		bad := append([]byte(nil), sig...)
		bad[i] ^= 1
		if k.Verify(a, msg, bad) == nil {
			t.Errorf("%s: an altered signature verifies", name)
		}
	}
	for _, bad := range [][]byte{nil, sig[1:], append([]byte{0}, sig...), make([]byte, len(sig))} {
		if k.Verify(a, msg, bad) == nil {
			t.Errorf("%s: %d bytes of nonsense verify", name, len(bad))
		}
	}
	if err := k.Verify(Algorithm{}, msg, sig); !errors.Is(err, ErrUnsupported) {
		t.Errorf("%s: no algorithm gives %v", name, err)
	}
}

func TestECDSA(t *testing.T) {
	msg := []byte("message")
	for _, name := range []string{"P-192", "P-224", "P-256", "P-384", "P-521", "brainpoolP192r1", "brainpoolP224r1", "brainpoolP256r1", "brainpoolP320r1", "brainpoolP384r1", "brainpoolP512r1"} {
		c, ok := ec.ByName(name)
		if !ok {
			t.Fatal(name)
		}
		d, q, err := c.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for i, spki := range [][]byte{spkiOf(EncodeOID(c.OID), c.Marshal(q)), spkiOf(explicit(c, c.G, false), c.Marshal(q)), spkiOf(explicit(c, c.G, true), compress(c, q))} {
			k, err := ParseKey(spki)
			if err != nil || k.Curve.Name != name {
				t.Errorf("%s, form %d: %v %v", name, i, k, err)
				continue
			}
			h := crypto.SHA384 // longer than the smaller curves
			r, s, err := c.Sign(rand.Reader, d, Sum(h, msg))
			if err != nil {
				t.Fatal(err)
			}
			der := ber.Make(ber.Sequence, integer(r), integer(s))
			verifies(t, name, k, Algorithm{Scheme: SchemeECDSA, Hash: h}, msg, der)
			plain := append(r.FillBytes(make([]byte, c.Size())), s.FillBytes(make([]byte, c.Size()))...)
			verifies(t, name+" plain", k, Algorithm{Scheme: SchemeECDSAPlain, Hash: h}, msg, plain)
		}
	}
}

func integer(v *big.Int) []byte { return ber.Make(ber.Integer, append([]byte{0}, v.Bytes()...)) }

func spkiOf(params, point []byte) []byte {
	return ber.Make(ber.Sequence, ber.Make(ber.Sequence, EncodeOID(oidECKey), params), ber.Make(ber.BitString, []byte{0}, point))
}

func compress(c *ec.Curve, p ec.Point) []byte {
	return append([]byte{2 + byte(p.Y.Bit(0))}, p.X.FillBytes(make([]byte, c.Size()))...)
}

func explicit(c *ec.Curve, g ec.Point, small bool) []byte {
	base := c.Marshal(g)
	if small {
		base = compress(c, g)
	}
	return ber.Make(ber.Sequence, ber.Make(ber.Integer, []byte{1}),
		ber.Make(ber.Sequence, EncodeOID(oidPrimeField), integer(c.P)),
		ber.Make(ber.Sequence, ber.Make(ber.OctetString, c.A.Bytes()), ber.Make(ber.OctetString, c.B.Bytes())),
		ber.Make(ber.OctetString, base), integer(c.N), ber.Make(ber.Integer, []byte{1}))
}

// The domain parameters printed in ICAO 9303-11 appendix G.1.
const printedBrainpool = "3081E0020101302C06072A8648CE3D0101022100A9FB57DBA1EEA9BC3E660A909D838D726E3BF623D52620282013481D1F6E5377304404207D5A0975FC2C3057EEF67530417AFFE7FB8055C126DC5C6CE94A4B44F330B5D9042026DC5C6CE94A4B44F330B5D9BBD77CBF958416295CF7E1CE6BCCDC18FF8C07B60441048BD2AEB9CB7E57CB2C4B482FFC81B7AFB9DE27E1E3BD23C23A4453BD9ACE3262547EF835C3DAC4FD97F8461A14611DC9C27745132DED8E545C1D54C72F046997022100A9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7020101"

func TestCurveParameters(t *testing.T) {
	c, err := ParseCurve(must[[]byte](t)(hex.DecodeString(printedBrainpool)))
	if err != nil || c.Name != "brainpoolP256r1" {
		t.Errorf("printed parameters: %v %v", c, err)
	}
	// A generator of the forger's choice makes any key his own (CVE-2020-0601).
	p256, _ := ec.ByName("P-256")
	own := p256.BaseMult(big.NewInt(12345))
	for name, params := range map[string][]byte{
		"own generator": explicit(p256, own, false), "own compressed generator": explicit(p256, own, true),
		"unknown name": EncodeOID("1.2.3.4"), "implied": ber.Make(ber.Null),
	} {
		if c, err := ParseCurve(params); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v %v", name, c, err)
		}
	}
	for name, key := range map[string][]byte{
		"absent": spkiOf(nil, []byte{4, 1}), "off the curve": spkiOf(EncodeOID(p256.OID), append([]byte{4}, make([]byte, 64)...)),
		"infinity": spkiOf(EncodeOID(p256.OID), []byte{0}), "short": spkiOf(EncodeOID(p256.OID), []byte{2, 1}), "noise": []byte("noise"),
	} {
		if k, err := ParseKey(key); err == nil || errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v %v", name, k, err)
		}
	}
}

func TestPSSParameters(t *testing.T) {
	alg := func(parts ...[]byte) []byte {
		return ber.Make(ber.Sequence, append([][]byte{EncodeOID(oidPSS)}, parts...)...)
	}
	sha256 := EncodeOID(HashOID(crypto.SHA256))
	null := []byte{ber.Null, 0}
	hash := func(params ...[]byte) []byte {
		return ber.Make(ber.Sequence, append([][]byte{sha256}, params...)...)
	}
	mgf := func(h []byte) []byte { return ber.Make(ber.Sequence, EncodeOID(oidMGF1), h) }
	num := func(n byte) []byte { return ber.Make(ber.Integer, []byte{n}) }
	defaults := Algorithm{SchemePSS, crypto.SHA1, crypto.SHA1, 20}
	full := Algorithm{SchemePSS, crypto.SHA256, crypto.SHA256, 32}
	for name, c := range map[string]struct {
		der  []byte
		want Algorithm
	}{
		"absent":            {alg(), defaults},
		"NULL":              {alg(null), defaults},
		"empty":             {alg(ber.Make(ber.Sequence)), defaults},
		"full":              {alg(ber.Make(ber.Sequence, ber.Make(0xA0, hash(null)), ber.Make(0xA1, mgf(hash(null))), ber.Make(0xA2, num(32)), ber.Make(0xA3, num(1)))), full},
		"without NULL":      {alg(ber.Make(ber.Sequence, ber.Make(0xA0, hash()), ber.Make(0xA1, mgf(hash())), ber.Make(0xA2, num(32)))), full},
		"default mask":      {alg(ber.Make(ber.Sequence, ber.Make(0xA0, hash(null)))), Algorithm{SchemePSS, crypto.SHA256, crypto.SHA1, 20}},
		"mask without hash": {alg(ber.Make(ber.Sequence, ber.Make(0xA1, mgf(nil)))), defaults},
		"no salt":           {alg(ber.Make(ber.Sequence, ber.Make(0xA2, num(0)))), Algorithm{SchemePSS, crypto.SHA1, crypto.SHA1, 0}},
	} {
		if got, err := ParseAlgorithm(c.der, 0); err != nil || got != c.want {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	for name, der := range map[string][]byte{
		"trailer": alg(ber.Make(ber.Sequence, ber.Make(0xA3, num(2)))), "hash": alg(ber.Make(ber.Sequence, ber.Make(0xA0, ber.Make(ber.Sequence, EncodeOID("1.2.3"))))),
		"mask": alg(ber.Make(ber.Sequence, ber.Make(0xA1, ber.Make(ber.Sequence, EncodeOID("1.2.3"))))), "RSA without hash": ber.Make(ber.Sequence, EncodeOID(oidRSA)),
	} {
		if _, err := ParseAlgorithm(der, 0); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, der := range map[string][]byte{
		"negative salt": alg(ber.Make(ber.Sequence, ber.Make(0xA2, num(0xFF)))), "huge salt": alg(ber.Make(ber.Sequence, ber.Make(0xA2, ber.Make(ber.Integer, []byte{0x7F, 0, 0, 0})))),
		"noise": alg(ber.Make(ber.Sequence, num(1))), "nothing": nil,
	} {
		if _, err := ParseAlgorithm(der, 0); err == nil || errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNames(t *testing.T) {
	attr := func(oid string, tag uint32, v string) []byte {
		return ber.Make(ber.Sequence, EncodeOID(oid), ber.Make(tag, []byte(v)))
	}
	name := func(rdns ...[]byte) Name {
		var sets [][]byte
		for _, r := range rdns {
			sets = append(sets, ber.Make(ber.Set, r))
		}
		return must[Name](t)(parseName(ber.Make(ber.Sequence, sets...)))
	}
	base := name(attr(oidCountry, ber.PrintableString, "VN"), attr(oidCommonName, ber.UTF8String, "CSCA Viet Nam"))
	if base.Country != "VN" || base.Common != "CSCA Viet Nam" {
		t.Errorf("%+v", base)
	}
	for what, n := range map[string]Name{
		"case":    name(attr(oidCountry, ber.PrintableString, "vn"), attr(oidCommonName, ber.UTF8String, "csca VIET nam")),
		"space":   name(attr(oidCountry, ber.PrintableString, " VN "), attr(oidCommonName, ber.UTF8String, "CSCA  Viet Nam ")),
		"type":    name(attr(oidCountry, ber.UTF8String, "VN"), attr(oidCommonName, ber.PrintableString, "CSCA Viet Nam")),
		"BMP":     name(attr(oidCountry, 0x1E, "\x00V\x00N"), attr(oidCommonName, 0x14, "CSCA Viet Nam")),
		"country": name(attr(oidCountry, ber.PrintableString, "Vn"), attr(oidCommonName, ber.IA5String, "CSCA Viet Nam")),
	} {
		if n.Key != base.Key || n.Country != "VN" {
			t.Errorf("%s: %+v", what, n)
		}
	}
	for what, n := range map[string]Name{
		"order":   name(attr(oidCommonName, ber.UTF8String, "CSCA Viet Nam"), attr(oidCountry, ber.PrintableString, "VN")),
		"another": name(attr(oidCountry, ber.PrintableString, "VN"), attr(oidCommonName, ber.UTF8String, "CSCA VietNam")),
		"less":    name(attr(oidCountry, ber.PrintableString, "VN")),
		"in one":  name(append(attr(oidCountry, ber.PrintableString, "VN"), attr(oidCommonName, ber.UTF8String, "CSCA Viet Nam")...)),
		"no text": name(attr(oidCountry, ber.PrintableString, "VN"), attr(oidCommonName, ber.Integer, "CSCA Viet Nam")),
	} {
		if n.Key == base.Key {
			t.Errorf("%s: names are the same", what)
		}
	}
}

func TestTime(t *testing.T) {
	for _, c := range []struct {
		tag        uint32
		text, want string
	}{
		{ber.UTCTime, "260615090000Z", "2026-06-15T09:00:00Z"}, {ber.UTCTime, "490615090000Z", "2049-06-15T09:00:00Z"},
		{ber.UTCTime, "500615090000Z", "1950-06-15T09:00:00Z"}, {ber.UTCTime, "2606150900Z", "2026-06-15T09:00:00Z"},
		{ber.UTCTime, "260615090000+0700", "2026-06-15T02:00:00Z"}, {ber.GeneralizedTime, "20520615090000Z", "2052-06-15T09:00:00Z"},
		{ber.GeneralizedTime, "20520615090000.5Z", "2052-06-15T09:00:00Z"}, {ber.UTCTime, "261315090000Z", ""}, {ber.UTCTime, "", ""},
		{ber.GeneralizedTime, "noise", ""}, {ber.Integer, "260615090000Z", ""},
	} {
		got, err := parseTime(ber.TLV{Tag: c.tag, Value: []byte(c.text)})
		if (err == nil) != (c.want != "") || err == nil && got.UTC().Format(time.RFC3339) != c.want {
			t.Errorf("%s: %v %v", c.text, got, err)
		}
	}
}

// Go's own certificates must read the same here as there.
func TestAgainstStandardLibrary(t *testing.T) {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(0x80FF), Subject: pkix.Name{Country: []string{"UT"}, CommonName: "Test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(1900000000, 0), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: []byte{1, 2, 3}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key))
	c := must[*Certificate](t)(ParseCertificate(der))
	switch {
	case !c.SelfIssued(), c.CheckSignatureFrom(c) != nil, !c.CA, !c.KeyUsage.May(UsageCertSign), c.KeyUsage.May(UsageDigitalSignature),
		!c.KeyUsage.May(UsageCRLSign), c.Subject.Country != "UT", !c.NotBefore.Equal(tmpl.NotBefore), !c.NotAfter.Equal(tmpl.NotAfter),
		string(c.SubjectKeyID) != "\x01\x02\x03", !c.Uses("1.3.6.1.5.5.7.3.2"), hex.EncodeToString(c.Serial) != "80ff",
		!c.ValidAt(time.Unix(1800000000, 0)), c.ValidAt(time.Unix(1600000000, 0)), c.ValidAt(time.Unix(1900000001, 0)):
		t.Errorf("%+v", c)
	}
	der[len(der)-60] ^= 1
	if c, err := ParseCertificate(der); err == nil && c.CheckSignatureFrom(c) == nil {
		t.Error("an altered certificate verifies")
	}
	list := must[[]byte](t)(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: tmpl.NotBefore, NextUpdate: tmpl.NotAfter,
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(0x80FF), RevocationTime: tmpl.NotBefore}},
	}, tmpl, key))
	l := must[*CRL](t)(ParseCRL(list))
	if l.CheckSignatureFrom(c) != nil || !l.Revokes([]byte{0, 0x80, 0xFF}) || l.Revokes([]byte{1}) || l.Len() != 1 || l.Partial ||
		l.Issuer.Key != c.Subject.Key || !l.NextUpdate.Equal(tmpl.NotAfter) {
		t.Errorf("%+v", l)
	}
}

// Every certificate of the German list reads, and every one that says it is
// signed by itself is. crypto/x509 reads fewer.
func TestGermanMasterList(t *testing.T) {
	b, err := os.ReadFile("../../../../shared/data/csca/DE_ML_2026-05-28.ml")
	if err != nil {
		t.Skip("the German master list of 28 May 2026 is not at hand: ", err)
	}
	begin := time.Now()
	certs, refused, err := ParseMasterListContent(b)
	t.Logf("%d certificates in %v", len(certs), time.Since(begin))
	if err != nil || len(certs) != 588 || len(refused) != 0 {
		t.Errorf("%d certificates, refused %v, %v", len(certs), refused, err)
	}
	library, own := 0, 0
	for _, c := range certs {
		if _, err := x509.ParseCertificate(c.Raw); err == nil {
			library++
		}
		if c.SelfIssued() && (c.AuthorityKeyID == nil || c.HasKeyID(c.AuthorityKeyID)) {
			if err := c.CheckSignatureFrom(c); err != nil {
				t.Errorf("%s %s: %v", c.Subject.Country, c.Subject.Common, err)
			}
			own++
		}
	}
	t.Logf("%d signed by themselves; crypto/x509 reads %d", own, library)
	if own != 375 {
		t.Errorf("%d are signed by themselves", own)
	}
}
