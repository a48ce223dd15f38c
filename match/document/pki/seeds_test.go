package pki

import (
	"crypto"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"gateagent/internal/ber"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

var writeSeeds = flag.Bool("seeds", false, "write the seeds of the fuzz targets to testdata/fuzz")

// seeds gives genuine objects of every kind by fuzz target: as states issue
// them, with their peculiarities.
func seeds(t testing.TB) map[string]map[string][]byte {
	seedsOnce.Do(func() { madeSeeds = makeSeeds(t) })
	return madeSeeds
}

var (
	seedsOnce sync.Once
	madeSeeds map[string]map[string][]byte
)

func makeSeeds(t testing.TB) map[string]map[string][]byte {
	out := map[string]map[string][]byte{"FuzzCertificate": {}, "FuzzCRL": {}, "FuzzMasterList": {}, "FuzzSignedData": {}}
	from, until := time.Unix(1780000000, 0), time.Unix(1785000000, 0)
	for name, cfg := range map[string]doc.AuthorityConfig{
		"explicit": {CA: doc.Algorithm{Curve: "brainpoolP256r1", Explicit: true, Hash: crypto.SHA256}, Signer: doc.Algorithm{Curve: "P-256", Explicit: true, Hash: crypto.SHA256}},
		"pss":      {CA: doc.Algorithm{RSA: 2048, PSS: true, KeyPSS: true, Trailer: true, Salt: 17, Hash: crypto.SHA384}, Signer: doc.Algorithm{RSA: 2048, PSS: true, NoNull: true, Hash: crypto.SHA256}},
		"habits":   {CA: doc.Algorithm{RSA: 2048, NoNull: true, Exponent: 3, Hash: crypto.SHA1}, Signer: doc.Algorithm{Curve: "P-192", Hash: crypto.SHA1}, Habits: doc.CertHabits{NegativeSerial: true, NoKeyIDs: true, NotCA: true, LooseNames: true}},
	} {
		cfg.Country, cfg.Name = "UT", name
		a := must[*doc.Authority](t)(doc.NewAuthority(5, cfg))
		s := must[*doc.Signer](t)(a.NewSigner("Signer", time.Time{}, time.Time{}))
		out["FuzzCertificate"][name+"_csca"], out["FuzzCertificate"][name+"_ds"] = a.Certificate, s.Certificate
		out["FuzzCRL"][name] = must[[]byte](t)(a.CRL(from, until, 1, s.Serial))
		out["FuzzMasterList"][name] = must[[]byte](t)(a.MasterList(a.Certificate))
		l := must[*doc.Signer](t)(a.NewListSigner("Lists", doc.DefectListUsage))
		out["FuzzSignedData"][name+"_defects"] = must[[]byte](t)(a.DefectList(l, 2, doc.SecurityObject{SignedAt: from}, doc.Defect{Signer: s}))
	}
	w := doc.NewWorld(5)
	card := must[*doc.Document](t)(w.VietnamID(w.Citizen(1)))
	sod := must[ber.TLV](t)(ber.One(card.File(chip.FileSOD))).Value
	out["FuzzSignedData"]["sod"] = sod
	out["FuzzSignedData"]["indefinite"] = indefinite(t, sod, 4)
	return out
}

// The seeds in testdata are those of the factories, and all of them parse.
func TestSeeds(t *testing.T) {
	for target, files := range seeds(t) {
		for name, b := range files {
			path := filepath.Join("testdata", "fuzz", target, name)
			if *writeSeeds {
				text := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", b)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%v: run go test -run TestSeeds -seeds", err)
			}
			if err := parseAll(target, b); err != nil {
				t.Errorf("%s/%s: %v", target, name, err)
			}
		}
	}
}

func parseAll(target string, b []byte) (err error) {
	switch target {
	case "FuzzCertificate":
		_, err = ParseCertificate(b)
	case "FuzzCRL":
		_, err = ParseCRL(b)
	case "FuzzMasterList", "FuzzSignedData":
		_, err = ParseSignedData(b)
	}
	return err
}

// A length that lies, wherever it stands, costs neither memory nor time.
func TestLyingLengths(t *testing.T) {
	const most = 16 << 20
	var before, after runtime.MemStats
	for target, files := range seeds(t) {
		for name, b := range files {
			begin := time.Now()
			for i := 1; i < len(b)-5; i += 11 {
				for _, lie := range [][]byte{{0x84, 0x3F, 0xFF, 0xFF, 0xFF}, {0x83, 0xFF, 0xFF, 0xFF}, {0x82, 0xFF, 0xFF}, {0x80}, {0xFF}} {
					bad := append([]byte(nil), b...)
					copy(bad[i:], lie)
					if i%55 != 1 { // the statistics stop the world
						parseAll(target, bad)
						continue
					}
					runtime.ReadMemStats(&before)
					parseAll(target, bad)
					if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > most {
						t.Fatalf("%s/%s: %d bytes for a lie at %d", target, name, after.TotalAlloc-before.TotalAlloc, i)
					}
				}
			}
			if d := time.Since(begin); d > 20*time.Second {
				t.Errorf("%s/%s: %v for %d lies", target, name, d, len(b))
			}
		}
	}
	// Levels of indefinite length, each of which copies what is in it.
	deep := make([]byte, maxIndefinite)
	for i := range maxNesting - 1 {
		deep[2*i], deep[2*i+1] = 0x30, 0x80
	}
	for _, bad := range [][]byte{deep, append(deep, 0)} {
		if _, err := ParseSignedData(bad); err == nil {
			t.Error("nonsense of indefinite length is a message")
		}
	}
}
