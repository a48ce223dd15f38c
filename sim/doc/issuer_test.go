package doc_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/match/document"
	"gateagent/match/document/ldif"
	"gateagent/sim/doc"
)

// trusting judges by a folder of these files.
func trusting(t *testing.T, files map[string][]byte) *document.Judge {
	t.Helper()
	dir := t.TempDir()
	for name, raw := range files {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return document.NewJudge(must[*document.Trust](t)(document.LoadTrust(dir, slog.New(slog.DiscardHandler))))
}

func p256() doc.Algorithm { return doc.Algorithm{Curve: "P-256", Hash: crypto.SHA256} }

// What a directory export holds comes out as it went in.
func TestLDIF(t *testing.T) {
	w := doc.NewWorld(61)
	nl := must[*doc.State](t)(w.State("NLD"))
	crl := must[[]byte](t)(nl.Authority.CRL(day(2026, 5, 1), day(2026, 8, 1), 1, nl.Signer.Serial))
	list := must[[]byte](t)(nl.Authority.MasterList(nl.Authority.Certificate))
	for part, want := range map[doc.PKDPart][]doc.PKDEntry{
		doc.PKDSigners:       {{Country: "NL", Raw: nl.Signer.Certificate}, {Country: "NL", CRL: true, Raw: crl}},
		doc.PKDMasterLists:   {{Country: "NL", Raw: list}},
		doc.PKDNonconformant: {{Country: "NL", Raw: nl.Signer.Certificate}},
	} {
		raw := doc.LDIF(part, want...)
		for _, line := range bytes.Split(raw, []byte("\n")) {
			if len(line) > 76 {
				t.Errorf("part %d: a line of %d characters", part, len(line))
			}
		}
		var got [][]byte
		names := []string{"userCertificate", "certificateRevocationList", "pkdMasterListContent"}
		err := ldif.Read(bytes.NewReader(raw), names, func(v ldif.Value) error { got = append(got, bytes.Clone(v.Data)); return nil })
		if err != nil || len(got) != len(want) {
			t.Fatalf("part %d: %d values, %v", part, len(got), err)
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i].Raw) {
				t.Errorf("part %d: entry %d differs", part, i)
			}
		}
	}
}

func day(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }

// Revocation lists: current, stale, forged.
func TestRevocationLists(t *testing.T) {
	w := doc.NewWorld(62)
	nl := must[*doc.State](t)(w.State("NLD"))
	d := must[*doc.Document](t)(w.Passport(w.Foreigner(3), doc.PortraitSize(1500)))
	serial := nl.Signer.Serial
	for name, c := range map[string]struct {
		crl  []byte
		want gate.Result
	}{
		"current":          {must[[]byte](t)(nl.Authority.CRL(day(2026, 5, 1), day(2026, 8, 1), 1)), gate.Successful},
		"stale":            {must[[]byte](t)(nl.Authority.CRL(day(2026, 1, 1), day(2026, 4, 1), 1)), gate.Undetermined},
		"stale, revoking":  {must[[]byte](t)(nl.Authority.CRL(day(2026, 1, 1), day(2026, 4, 1), 1, serial)), gate.Failed},
		"forged":           {must[[]byte](t)(nl.Authority.ForgeCRL(day(2026, 5, 1), day(2026, 8, 1), 1)), gate.Undetermined},
		"forged, revoking": {must[[]byte](t)(nl.Authority.ForgeCRL(day(2026, 5, 1), day(2026, 8, 1), 1, serial)), gate.Undetermined},
	} {
		j := trusting(t, map[string][]byte{"nl.cer": nl.Authority.Certificate, "nl.crl": c.crl})
		if got := verdicts(j, d)[gate.CheckDSRevocation]; got.Result != c.want {
			t.Errorf("%s: %+v, not %s", name, got, c.want)
		}
	}
}

// Several keys of one country, and a new key under a new name that the old
// one links to.
func TestSeveralAuthorities(t *testing.T) {
	cfg := doc.AuthorityConfig{Country: "UT", Name: "CSCA Utopia", CA: p256(), Signer: p256()}
	first := must[*doc.Authority](t)(doc.NewAuthority(63, cfg))
	cfg.Generation = 2
	second := must[*doc.Authority](t)(doc.NewAuthority(63, cfg))
	if bytes.Equal(first.Certificate, second.Certificate) {
		t.Fatal("both generations have one key")
	}
	w := doc.NewWorld(63)
	must[*doc.State](t)(w.AddState("UTO", cfg))
	d := must[*doc.Document](t)(w.Passport(w.Foreigner(0), doc.PortraitSize(1500)))
	both := trusting(t, map[string][]byte{"1.cer": first.Certificate, "2.cer": second.Certificate})
	if got := verdicts(both, d)[gate.CheckDSSignature]; got.Result != gate.Successful {
		t.Errorf("both generations: %+v", got)
	}
	cfg.Name, cfg.Generation = "CSCA of Utopia, renamed", 0
	renamed := must[*doc.State](t)(w.AddState("UTO", cfg))
	d = must[*doc.Document](t)(w.Passport(w.Foreigner(0), doc.PortraitSize(1500)))
	link := must[[]byte](t)(second.Link(renamed.Authority))
	if got := verdicts(trusting(t, map[string][]byte{"2.cer": second.Certificate, "link.cer": link}), d)[gate.CheckDSSignature]; got.Result != gate.Successful {
		t.Errorf("over the link: %+v", got)
	}
	if got := verdicts(trusting(t, map[string][]byte{"1.cer": first.Certificate, "link.cer": link}), d)[gate.CheckDSSignature]; got.Result == gate.Successful {
		t.Errorf("over a link of a key that is not trusted: %+v", got)
	}
}

// A signer of lists says in its certificate what it is for.
func TestListSigners(t *testing.T) {
	de := must[*doc.State](t)(doc.NewWorld(64).State("UTO"))
	for usage, unknown := range map[string]int{doc.MasterListUsage: 1, doc.DefectListUsage: 1, "": 0} {
		s := must[*doc.Signer](t)(de.Authority.NewListSigner("List signer", usage))
		c := must[*x509.Certificate](t)(x509.ParseCertificate(s.Certificate))
		if len(c.UnknownExtKeyUsage) != unknown || unknown == 1 && c.UnknownExtKeyUsage[0].String() != usage {
			t.Errorf("usage %q reads %v", usage, c.UnknownExtKeyUsage)
		}
	}
	s := must[*doc.Signer](t)(de.Authority.NewListSigner("Defect list signer", doc.DefectListUsage))
	raw := must[[]byte](t)(de.Authority.DefectList(s, 2, doc.SecurityObject{}, doc.Defect{Signer: de.Signer, Known: []doc.KnownDefect{doc.WithStatus(doc.DefectCertRevoked, 3)}}))
	d := must[*doc.Document](t)(doc.NewWorld(64).Passport(doc.NewWorld(64).Foreigner(0), doc.PortraitSize(1500)))
	j := trusting(t, map[string][]byte{"ut.cer": de.Authority.Certificate, "ut.dl": raw})
	if got := verdicts(j, d)[gate.CheckDSRevocation]; got.Result != gate.Failed {
		t.Errorf("a defect list revokes: %+v", got)
	}
}
