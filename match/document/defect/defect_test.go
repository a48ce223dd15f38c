package defect

import (
	"crypto"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gateagent/internal/ber"
	"gateagent/match/document/pki"
	"gateagent/sim/doc"
)

var writeSeeds = flag.Bool("seeds", false, "write the seeds of the fuzz target to testdata/fuzz")

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// factory issues lists of one signer's defects.
type factory struct {
	a             *doc.Authority
	lists, faulty *doc.Signer
}

func newFactory(t testing.TB) factory {
	p256 := doc.Algorithm{Curve: "P-256", Hash: crypto.SHA256}
	a := must[*doc.Authority](t)(doc.NewAuthority(5, doc.AuthorityConfig{Country: "UT", Name: "CSCA", CA: p256, Signer: p256}))
	return factory{
		a:      a,
		lists:  must[*doc.Signer](t)(a.NewListSigner("Lists", doc.DefectListUsage)),
		faulty: must[*doc.Signer](t)(a.NewSigner("Faulty", time.Time{}, time.Time{})),
	}
}

// content gives the signed content of a list.
func (f factory) content(t testing.TB, version int, defects ...doc.Defect) []byte {
	raw := must[[]byte](t)(f.a.DefectList(f.lists, version, doc.SecurityObject{}, defects...))
	return must[*pki.SignedData](t)(pki.ParseSignedData(raw)).Content
}

func number(n byte) []byte { return ber.Make(ber.Integer, []byte{n}) }

// all names every kind with its parameter and what it reads as.
func (f factory) all(t testing.TB) map[string]struct {
	known doc.KnownDefect
	want  Defect
} {
	cert := must[*pki.Certificate](t)(pki.ParseCertificate(f.a.Certificate))
	id := ber.Make(0x80, []byte("key"))
	type row = struct {
		known doc.KnownDefect
		want  Defect
	}
	return map[string]row{
		"revoked":      {doc.WithStatus(doc.DefectCertRevoked, 3), Defect{Kind: Revoked, Status: 3}},
		"replaced":     {doc.Replaced(f.a.Certificate), Defect{Kind: Replaced, Status: NoStatus, Replacement: cert}},
		"chip keys":    {doc.KnownDefect{OID: doc.DefectChipAuthRevoked}, Defect{Kind: ChipAuthKeys, Status: NoStatus}},
		"active keys":  {doc.KnownDefect{OID: doc.DefectActiveAuthRevoked}, Defect{Kind: ActiveAuthKeys, Status: NoStatus}},
		"protocol":     {doc.WithStatus(doc.DefectProtocolFailure, 6), Defect{Kind: ProtocolFailure, Status: 6}},
		"validity":     {doc.WithStatus(doc.DefectValidityIncorrect, 0), Defect{Kind: ValidityPeriod, Status: 0}},
		"groups":       {doc.Malformed(2, 14), Defect{Kind: GroupsMalformed, Status: NoStatus, Groups: []int{2, 14}}},
		"object":       {doc.WithStatus(doc.DefectSODInvalid, 33), Defect{Kind: ObjectInvalid, Status: 33}},
		"object plain": {doc.KnownDefect{OID: doc.DefectSODInvalid}, Defect{Kind: ObjectInvalid, Status: NoStatus}},
		"com":          {doc.KnownDefect{OID: doc.DefectCOMDiscrepancy}, Defect{Kind: COMDiffers, Status: NoStatus}},
		"signer":       {doc.KnownDefect{OID: OIDList + ".2.4", Parameter: id}, Defect{Kind: WrongSigner, Status: NoStatus, Signer: pki.SignerID{KeyID: []byte("key")}}},
		"country":      {doc.KnownDefect{OID: doc.DefectIssuingCountry, Parameter: ber.Make(ber.PrintableString, []byte("de"))}, Defect{Kind: IssuingCountry, Status: NoStatus, Country: "DE"}},
		"card":         {doc.KnownDefect{OID: doc.DefectCardSecurity, Parameter: number(1)}, Defect{Kind: CardSecurity, Status: NoStatus}},
		"chip":         {doc.KnownDefect{OID: OIDList + ".4.2"}, Defect{Kind: ChipSecurity, Status: NoStatus}},
		"power":        {doc.KnownDefect{OID: OIDList + ".4.3"}, Defect{Kind: PowerDown, Status: NoStatus}},
		"malformed":    {doc.WithStatus(doc.DefectDSMalformed, 1), Defect{Kind: SignerMalformed, Status: 1}},
		"document":     {doc.KnownDefect{OID: OIDList + ".4.9"}, Defect{Kind: UnknownDocumentFault, Status: NoStatus}},
		"unknown":      {doc.KnownDefect{OID: "1.2.3", Parameter: number(9)}, Defect{Status: NoStatus}},
		// Parameters that cannot be read: what needs them has no effect.
		"revoked, no status":    {doc.KnownDefect{OID: doc.DefectCertRevoked}, Defect{Kind: Revoked, Status: NoStatus}},
		"replaced by noise":     {doc.Replaced([]byte("noise")), Defect{Status: NoStatus}},
		"no status":             {doc.KnownDefect{OID: doc.DefectProtocolFailure}, Defect{Status: NoStatus}},
		"country of no letters": {doc.KnownDefect{OID: doc.DefectIssuingCountry, Parameter: ber.Make(ber.PrintableString, []byte("DEU"))}, Defect{Status: NoStatus}},
	}
}

// Every kind reads as what it is, in both versions, and is found by every way
// of naming its signer.
func TestKinds(t *testing.T) {
	f := newFactory(t)
	cert := must[*pki.Certificate](t)(pki.ParseCertificate(f.faulty.Certificate))
	other := must[*pki.Certificate](t)(pki.ParseCertificate(f.lists.Certificate))
	for name, c := range f.all(t) {
		c.want.OID = c.known.OID
		for version := 1; version <= 2; version++ {
			for _, entry := range []doc.Defect{{}, {ByKeyID: true}, {ByHash: true}, {ByKeyID: true, ByHash: true}} {
				entry.Signer, entry.Known = f.faulty, []doc.KnownDefect{c.known}
				l, err := Parse(f.content(t, version, entry))
				if err != nil || l.Version != version-1 || len(l.Entries) != 1 {
					t.Fatalf("%s: %+v %v", name, l, err)
				}
				got := l.Says(pki.SignerID{}, cert, cert.Raw)
				if len(got) != 1 || !same(got[0], c.want) {
					t.Errorf("%s, version %d: %+v, want %+v", name, version, got, c.want)
				}
				if l.Says(pki.SignerID{}, other, other.Raw) != nil {
					t.Errorf("%s: another signer is named", name)
				}
				byName := pki.SignerID{Issuer: cert.Issuer, Serial: cert.Serial}
				if found := l.Says(byName, nil, nil) != nil; found != (!entry.ByKeyID && !entry.ByHash) {
					t.Errorf("%s: found by its name alone: %v", name, found)
				}
			}
		}
		if c.want.Kind.String() == "" {
			t.Errorf("%s has no name", name)
		}
	}
}

func same(a, b Defect) bool {
	if (a.Replacement == nil) != (b.Replacement == nil) || a.Replacement != nil && string(a.Replacement.Raw) != string(b.Replacement.Raw) {
		return false
	}
	a.Replacement, b.Replacement = nil, nil
	return reflect.DeepEqual(a, b)
}

func TestMalformed(t *testing.T) {
	f := newFactory(t)
	good := f.content(t, 1, doc.Defect{Signer: f.faulty, Known: []doc.KnownDefect{{OID: doc.DefectChipAuthRevoked}}})
	for n := range good {
		if _, err := Parse(good[:n]); err == nil {
			t.Fatalf("cut after %d bytes: no error", n)
		}
	}
	list := func(parts ...[]byte) []byte { return ber.Make(ber.Sequence, parts...) }
	sha, set := pki.EncodeOID(pki.HashOID(crypto.SHA256)), func(e ...[]byte) []byte { return ber.Make(ber.Set, e...) }
	for name, der := range map[string][]byte{
		"version":      list(number(2), sha, set()),
		"more":         list(number(0), sha, set(), number(1)),
		"entry":        list(number(0), sha, set(number(1))),
		"names nobody": list(number(0), sha, set(list(set()))),
		"no defects":   list(number(0), sha, set(list(ber.Make(0x80, []byte("key"))))),
		"signer":       list(number(0), sha, set(list(ber.Make(ber.Sequence, number(1)), set()))),
		"defect":       list(number(0), sha, set(list(ber.Make(0x80, []byte("key")), set(number(1))))),
		"too long":     make([]byte, maxList+1),
		"order":        list(number(0), sha, set(list(set(), ber.Make(0x80, []byte("key"))))),
	} {
		if _, err := Parse(der); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	entry := list(ber.Make(0x80, []byte("key")), set())
	var many [][]byte
	for range maxEntries + 1 {
		many = append(many, entry)
	}
	if _, err := Parse(list(number(0), sha, set(many...))); err == nil {
		t.Error("too many entries are taken")
	}
	if l, err := Parse(list(number(0), sha, set(many[1:]...))); err != nil || len(l.Entries) != maxEntries {
		t.Error("as many as allowed are not taken", err)
	}
	// A hash that nobody here can compute names nobody.
	l := must[*List](t)(Parse(list(number(1), pki.EncodeOID("1.2.3"), set(list(ber.Make(ber.OctetString, []byte("hash")), set(list(pki.EncodeOID(doc.DefectCertRevoked))))))))
	if got := l.Says(pki.SignerID{}, nil, []byte("certificate")); got != nil {
		t.Errorf("an unknown hash fits: %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Parse(b)
		if err != nil {
			return
		}
		if len(l.Entries) > len(b) {
			t.Fatalf("%d entries of %d bytes", len(l.Entries), len(b))
		}
		for _, e := range l.Entries {
			if got := l.Says(e.Signer, nil, nil); e.Hash == nil && len(e.Defects) > 0 && len(got) == 0 {
				t.Error("an entry is not found by its own name")
			}
		}
	})
}

// TestSeeds writes the corpus, or checks that it is whole.
func TestSeeds(t *testing.T) {
	f := newFactory(t)
	for name, c := range f.all(t) {
		for version := 1; version <= 2; version++ {
			b := f.content(t, version, doc.Defect{Signer: f.faulty, ByHash: version == 2, Known: []doc.KnownDefect{c.known}})
			path := filepath.Join("testdata", "fuzz", "FuzzParse", strings.ReplaceAll(fmt.Sprintf("%s_%d", name, version), " ", "_"))
			if *writeSeeds {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", b)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%v: run go test -run TestSeeds -seeds", err)
			}
		}
	}
}
