package allowlist

import (
	"crypto/aes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"
)

// The format is fixed: an entry of a known document under a known secret,
// computed here step by step from the description in the package comment, and
// pinned.
func TestEntryByTheDescription(t *testing.T) {
	secret := testSecret(1)
	keys, err := secret.derive()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Document{Issuer: " vnm", Type: "I-D", Number: "0010 9900 0001"}.normalise()
	if err != nil {
		t.Fatal(err)
	}
	e := d.encode()
	b := body{from: 0x01020304, until: 0x05060708, set: 9, answer: Refer, priority: true}
	got, err := newSealer(keys).seal(&e, b)
	if err != nil {
		t.Fatal(err)
	}

	document := "\x01\x03VNM\x02ID\x0c001099000001"
	indexKey, _ := hkdf.Key(sha256.New, secret.value[:], nil, "gateagent/list/1/index", 32)
	mac := hmac.New(sha256.New, indexKey)
	mac.Write([]byte(document))
	want := mac.Sum(nil)[:16]
	bodyKey, _ := hkdf.Key(sha256.New, secret.value[:], nil, "gateagent/list/1/body", 32)
	own, _ := hkdf.Expand(sha256.New, bodyKey, document, 32)
	block, _ := aes.NewCipher(own)
	plain, _ := hex.DecodeString("0102030405060708000000090647414c")
	sealed := make([]byte, 16)
	block.Encrypt(sealed, plain)
	if want = append(want, sealed...); hex.EncodeToString(got[:]) != hex.EncodeToString(want) {
		t.Errorf("entry %x, want %x", got, want)
	}
	const pinned = "e189691f3f549ff5bf46902d5c52349ad763b5e1ac5218da3fd892f8318ee6cc"
	if hex.EncodeToString(got[:]) != pinned {
		t.Errorf("entry %x, pinned %s: the format must not change", got, pinned)
	}
}

// Only the document's own data opens its body.
func TestWrongKeyIsNoticed(t *testing.T) {
	keys, err := testSecret(1).derive()
	if err != nil {
		t.Fatal(err)
	}
	s := newSealer(keys)
	e := vnm(1).encode()
	entry, err := s.seal(&e, body{from: 1, until: 2, answer: Allow})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		other := vnm(i).encode()
		block, err := s.block(&other)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(block, entry[indexSize:]); (err == nil) != (i == 1) {
			t.Fatalf("document %d: %v", i, err)
		}
	}
}

func TestBodiesThatRefuse(t *testing.T) {
	good := body{from: 1, until: 2, answer: Allow}.pack()
	if _, err := unpackBody(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*[bodySize]byte){
		"no answer":      func(p *[bodySize]byte) { p[12] = 0 },
		"priority alone": func(p *[bodySize]byte) { p[12] = flagPriority },
		"unknown flag":   func(p *[bodySize]byte) { p[12] |= 8 },
		"magic":          func(p *[bodySize]byte) { p[15]++ },
		"empty window":   func(p *[bodySize]byte) { p[3] = 2 },
		"all zero":       func(p *[bodySize]byte) { *p = [bodySize]byte{} },
	} {
		p := good
		change(&p)
		if _, err := unpackBody(p); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func byNumber(issuer, kind, number string) Document {
	return Document{Issuer: issuer, Type: kind, Number: number}
}

// No two documents have one encoding, whatever their fields.
func TestEncodingIsInjective(t *testing.T) {
	seen := map[string]Document{}
	for _, d := range []Document{byNumber("D", "P", "A1"), byNumber("D", "PA", "1"), byNumber("DP", "A", "1"), byNumber("D", "P", "A"), byNumber("FRA", "P", "A1"), byNumber("FR", "A", "PA1")} {
		e := d.encode()
		if other, ok := seen[string(e.b[:e.n])]; ok {
			t.Errorf("%v and %v have one encoding", d, other)
		}
		seen[string(e.b[:e.n])] = d
	}
	longest, err := Document{Issuer: "VNM", Type: "PP", Number: "123456789012345678901234"}.normalise()
	if err != nil {
		t.Fatal(err)
	}
	if e := longest.encode(); e.n+1 > len(e.b) {
		t.Error("no room for the counter")
	}
}

func TestNormalise(t *testing.T) {
	for _, c := range []struct{ in, want Document }{
		{Document{Issuer: "D<<", Type: "P<", Number: "C01X00T47"}, Document{Issuer: "D", Type: "P", Number: "C01X00T47"}},
		{Document{Issuer: "DEU", Type: "p", Number: "c01 x00-t47"}, Document{Issuer: "D", Type: "P", Number: "C01X00T47"}},
		{Document{Issuer: "VNM", Type: "ID", Number: "001099000001"}, Document{Issuer: "VNM", Type: "ID", Number: "001099000001"}},
		{Document{Issuer: "VNM", Type: "P", Number: "B1234567"}, Document{Issuer: "VNM", Type: "P", Number: "B1234567"}},
	} {
		if got, err := c.in.normalise(); err != nil || got != c.want {
			t.Errorf("%v: %v, %v", c.in, got, err)
		}
	}
	for _, d := range []Document{
		{}, byNumber("VNM", "ID", ""), byNumber("", "ID", "001099000001"), byNumber("VNM", "", "001099000001"), byNumber("VNM", "ID", "099000001"),
		byNumber("VNM", "I", "099000001"), byNumber("VNM", "ID", "00109900000A"), byNumber("V1M", "ID", "001099000001"), byNumber("VNMM", "ID", "001099000001"),
		byNumber("VNM", "1D", "001099000001"), byNumber("FRA", "P", "Ä1"), byNumber("FRA", "P", "1234567890123456789012345"), byNumber("FRA", "P", "12\x0034"),
	} {
		if _, err := d.normalise(); err == nil {
			t.Errorf("%q accepted", d)
		}
	}
}

func TestStatementForms(t *testing.T) {
	st := Statement{Generation: 1, Version: 2, Issued: testIssued, Expires: testIssued.Add(time.Hour), Entries: 3, DataPages: 4}
	b := st.Sign(testKey)
	back, err := ParseStatement(b)
	if err != nil {
		t.Fatal(err)
	}
	st.KeyID = KeyID(testPublic)
	if back != st {
		t.Errorf("read back %+v, want %+v", back, st)
	}
	for name, bad := range map[string]Statement{
		"expires before issue": {Generation: 1, Version: 2, Issued: testIssued, Expires: testIssued, DataPages: 1},
		"valid for a year":     {Generation: 1, Version: 2, Issued: testIssued, Expires: testIssued.AddDate(1, 0, 0), DataPages: 1},
		"no pages":             {Generation: 1, Version: 2, Issued: testIssued, Expires: testIssued.Add(time.Hour)},
		"absurd pages":         {Generation: 1, Version: 2, Issued: testIssued, Expires: testIssued.Add(time.Hour), DataPages: 1 << 41},
		"absurd entries":       {Generation: 1, Version: 2, Issued: testIssued, Expires: testIssued.Add(time.Hour), DataPages: 1, Entries: 1 << 33},
		"before 1970":          {Generation: 1, Version: 2, Issued: time.Unix(-1, 0), Expires: testIssued, DataPages: 1},
	} {
		if _, err := ParseStatement(bad.Sign(testKey)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
