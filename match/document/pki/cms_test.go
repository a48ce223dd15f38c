package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"gateagent/internal/ber"
	"gateagent/sim/doc"
)

// message is the parts of a CMS message, so that tests can bend each.
type message struct {
	content, certs []byte
	kind           string
	sid, attrs     []byte // attrs as sent, with tag A0
	digest, alg    []byte
	sign           func(attrs []byte) []byte
	signers        int
}

func sequenceOf(parts ...[]byte) []byte { return ber.Make(ber.Sequence, parts...) }

func attribute(oid string, value []byte) []byte {
	return sequenceOf(EncodeOID(oid), ber.Make(ber.Set, value))
}

func (m *message) signer() []byte {
	signed := bytes.Clone(m.attrs)
	if len(signed) > 0 {
		signed[0] = ber.Set
	}
	return sequenceOf(ber.Make(ber.Integer, []byte{1}), m.sid, m.digest, m.attrs, m.alg, ber.Make(ber.OctetString, m.sign(signed)))
}

func (m *message) encode() []byte {
	var infos [][]byte
	for range m.signers {
		infos = append(infos, m.signer())
	}
	return sequenceOf(EncodeOID(oidSignedData), ber.Make(0xA0, sequenceOf(ber.Make(ber.Integer, []byte{3}), ber.Make(ber.Set, m.digest),
		sequenceOf(EncodeOID(m.kind), ber.Make(0xA0, m.content)), ber.Make(0xA0, m.certs), ber.Make(ber.Set, infos...))))
}

// newMessage gives a good message, signed with a fresh key.
func newMessage(t testing.TB) (*message, *PublicKey) {
	priv, pub := rsaKey(t)
	content := []byte("content")
	hash := sequenceOf(EncodeOID(HashOID(crypto.SHA256)))
	m := &message{
		content: ber.Make(ber.OctetString, content), kind: "1.2.3.4", signers: 1, digest: hash,
		sid: ber.Make(0x80, []byte("key")), alg: sequenceOf(EncodeOID(oidRSA), []byte{ber.Null, 0}),
		attrs: ber.Make(0xA0, attribute(oidContentType, EncodeOID("1.2.3.4")), attribute(oidMessageDigest, ber.Make(ber.OctetString, Sum(crypto.SHA256, content)))),
	}
	m.sign = func(attrs []byte) []byte {
		return must[[]byte](t)(priv.Sign(nil, Sum(crypto.SHA256, attrs), crypto.SHA256))
	}
	return m, pub
}

func judge(t *testing.T, raw []byte, k *PublicKey) (digest, signature error) {
	t.Helper()
	d := must[*SignedData](t)(ParseSignedData(raw))
	s := d.Signers[0]
	return s.CheckDigest(d), s.CheckSignature(&Certificate{Key: k})
}

func TestSignedData(t *testing.T) {
	m, k := newMessage(t)
	good := m.encode()
	if a, b := judge(t, good, k); a != nil || b != nil {
		t.Errorf("good message: %v, %v", a, b)
	}
	m.content = ber.Make(ber.OctetString, []byte("another"))
	if a, b := judge(t, m.encode(), k); !errors.Is(a, ErrSignature) || b != nil {
		t.Errorf("other content: %v, %v", a, b)
	}
	m, k = newMessage(t)
	m.kind = "1.2.3.5"
	if a, _ := judge(t, m.encode(), k); !errors.Is(a, ErrContentType) {
		t.Errorf("other content type: %v", a)
	}
	m, k = newMessage(t)
	sign := m.sign
	m.sign = func([]byte) []byte { return sign([]byte("something else")) }
	if a, b := judge(t, m.encode(), k); a != nil || !errors.Is(b, ErrSignature) {
		t.Errorf("other signature: %v, %v", a, b)
	}
	m, k = newMessage(t)
	m.digest = sequenceOf(EncodeOID("1.2.3.9"))
	if a, b := judge(t, m.encode(), k); !errors.Is(a, ErrUnsupported) || !errors.Is(b, ErrUnsupported) {
		t.Errorf("unknown hash: %v, %v", a, b)
	}
	m, k = newMessage(t)
	half := len("content") / 2
	m.content = ber.Make(0x24, ber.Make(ber.OctetString, []byte("content")[:half]), ber.Make(ber.OctetString, []byte("content")[half:]))
	if a, b := judge(t, m.encode(), k); a != nil || b != nil {
		t.Errorf("content in pieces: %v, %v", a, b)
	}
	// Sent in one order and signed in DER's.
	m, k = newMessage(t)
	kids := must[[]ber.TLV](t)(ber.Children(must[[]byte](t)(ber.Expect(m.attrs, 0xA0))))
	swapped := ber.Make(0xA0, kids[1].Raw, kids[0].Raw)
	sign = m.sign
	m.sign = func(attrs []byte) []byte { return sign(sortSet(attrs)) }
	m.attrs = swapped
	if a, b := judge(t, m.encode(), k); a != nil || b != nil {
		t.Errorf("attributes out of order: %v, %v", a, b)
	}
}

func TestMalformedSignedData(t *testing.T) {
	for name, bend := range map[string]func(*message){
		"no attributes":     func(m *message) { m.attrs = nil },
		"no digest":         func(m *message) { m.attrs = ber.Make(0xA0, attribute(oidContentType, EncodeOID("1.2.3.4"))) },
		"twice":             func(m *message) { m.attrs = ber.Make(0xA0, m.attrs[2:], m.attrs[2:]) },
		"no signer":         func(m *message) { m.signers = 0 },
		"too many signers":  func(m *message) { m.signers = maxSigners + 1 },
		"no content":        func(m *message) { m.content = nil },
		"content no octets": func(m *message) { m.content = sequenceOf() },
		"signer unknown":    func(m *message) { m.sid = ber.Make(0x85, []byte{1}) },
		"bad hash":          func(m *message) { m.digest = sequenceOf(ber.Make(ber.Integer, []byte{1})) },
	} {
		m, _ := newMessage(t)
		bend(m)
		if _, err := ParseSignedData(m.encode()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	m, _ := newMessage(t)
	good := m.encode()
	for n := range good {
		if _, err := ParseSignedData(good[:n]); err == nil {
			t.Fatalf("cut after %d bytes: no error", n)
		}
	}
}

// indefinite rewrites constructed elements outside the signed parts to
// indefinite length.
func indefinite(t testing.TB, der []byte, depth int) []byte {
	e := must[ber.TLV](t)(ber.One(der))
	if depth == 0 || !e.Constructed() {
		return der
	}
	out := []byte{byte(e.Tag), 0x80}
	for _, k := range must[[]ber.TLV](t)(ber.Children(e.Value)) {
		out = append(out, indefinite(t, k.Raw, depth-1)...)
	}
	return append(out, 0, 0)
}

func TestIndefiniteLength(t *testing.T) {
	m, k := newMessage(t)
	for depth := 1; depth <= 3; depth++ {
		if a, b := judge(t, indefinite(t, m.encode(), depth), k); a != nil || b != nil {
			t.Errorf("depth %d: %v, %v", depth, a, b)
		}
	}
	deep := bytes.Repeat([]byte{0x30, 0x80}, 1000)
	for name, raw := range map[string][]byte{"endless": {0x30, 0x80}, "deep": deep, "primitive": {0x30, 0x80, 0x04, 0x80, 0, 0, 0, 0}, "more": {0x30, 0x80, 0, 0, 0}} {
		if _, err := ParseSignedData(raw); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Which certificate belongs to a signer.
func TestSignerCertificate(t *testing.T) {
	a := must[*doc.State](t)(doc.NewWorld(3).State("D"))
	ds := must[*Certificate](t)(ParseCertificate(a.Signer.Certificate))
	ca := must[*Certificate](t)(ParseCertificate(a.Authority.Certificate))
	certs := []*Certificate{ca, ds}
	for name, c := range map[string]struct {
		s    Signer
		want *Certificate
	}{
		"by name and number": {Signer{ID: SignerID{Issuer: ds.Issuer, Serial: ds.Serial}}, ds},
		"by key":             {Signer{ID: SignerID{KeyID: ds.KeyID()}}, ds},
		"other number":       {Signer{ID: SignerID{Issuer: ds.Issuer, Serial: []byte{1}}}, nil},
		"other name":         {Signer{ID: SignerID{Issuer: Name{Key: "x"}, Serial: ds.Serial}}, nil},
		"other key":          {Signer{ID: SignerID{KeyID: []byte("x")}}, nil},
		"empty key":          {Signer{ID: SignerID{KeyID: []byte{}}}, nil},
	} {
		if got := c.s.Certificate(certs); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The bit above the encoded message of a PSS signature must be clear.
func TestPSSTopBit(t *testing.T) {
	priv, pub := rsaKey(t)
	a := Algorithm{Scheme: SchemePSS, Hash: crypto.SHA256, MGF: crypto.SHA256, Salt: 32}
	msg := []byte("message")
	for range 200 {
		sig := must[[]byte](t)(rsa.SignPSS(rand.Reader, priv, a.Hash, Sum(a.Hash, msg), &rsa.PSSOptions{SaltLength: a.Salt}))
		em := must[[]byte](t)(pub.Recover(sig))
		em[0] |= 0x80
		v := new(big.Int).SetBytes(em)
		if v.Cmp(priv.N) >= 0 {
			continue
		}
		if pub.Verify(a, msg, v.Exp(v, priv.D, priv.N).FillBytes(make([]byte, priv.Size()))) == nil {
			t.Error("a set top bit passes")
		}
		return
	}
	t.Fatal("no encoded message stays below the modulus with its top bit set")
}
