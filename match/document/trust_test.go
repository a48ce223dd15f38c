package document

import (
	"crypto"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/internal/ber"
	"gateagent/match/document/pki"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// germanList is the German master list as in the shared data folder, where it
// is the bare list without its signature.
func germanList(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("../../../shared/data/csca/DE_ML_2026-05-28.ml")
	if err != nil {
		t.Skip("the German master list of 28 May 2026 is not at hand: ", err)
	}
	return b
}

func authority(t testing.TB, state string) *doc.Authority {
	t.Helper()
	return must[*doc.State](t)(world().State(state)).Authority
}

// signList signs a list's content the way a publisher does.
func signList(t testing.TB, a *doc.Authority, content []byte) []byte {
	t.Helper()
	signed := must[[]byte](t)(a.MasterList())
	empty := must[*pki.SignedData](t)(pki.ParseSignedData(signed))
	if len(content) == 0 {
		content = empty.Content
	}
	list := must[ber.TLV](t)(ber.One(content))
	set, _ := ber.Find(list.Value, ber.Set)
	var certs [][]byte
	for _, c := range must[[]ber.TLV](t)(ber.Children(set.Value)) {
		certs = append(certs, c.Raw)
	}
	return must[[]byte](t)(a.MasterList(certs...))
}

func load(t testing.TB, files map[string][]byte) (*Trust, *lines) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		writeFile(t, dir, name, b)
	}
	var log lines
	return must[*Trust](t)(LoadTrust(dir, log.logger())), &log
}

// judged gives ds.signature of a Vietnamese card under a trust.
func judged(t testing.TB, trust *Trust, d *doc.Document) gate.Check {
	t.Helper()
	return NewJudge(trust).NewCase(now).SecurityObject(d.File(chip.FileSOD))[3]
}

func TestLoadTrustFolder(t *testing.T) {
	var log lines
	trust, err := LoadTrust(t.TempDir(), log.logger())
	if err != nil || trust.Certificates() != 0 || log.count() != 0 {
		t.Errorf("an empty folder: %v %v %q", trust, err, log.String())
	}
	if _, err := LoadTrust(filepath.Join(t.TempDir(), "none"), nil); err == nil || !strings.Contains(err.Error(), "trust folder") {
		t.Errorf("a missing folder: %v", err)
	}
	a := authority(t, "VNM")
	crl := must[[]byte](t)(a.CRL(day(2026, 1, 1), day(2027, 1, 1), 1))
	for name, c := range map[string]struct {
		files      map[string][]byte
		certs, log int
	}{
		"der":        {map[string][]byte{"a.cer": a.Certificate, "b.DER": a.Certificate, "crl.crl": crl, "README": nil, "x.txt": nil}, 1, 0},
		"pem":        {map[string][]byte{"a.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate})}, 1, 0},
		"noise":      {map[string][]byte{"a.cer": []byte("noise"), "b.pem": []byte("-----BEGIN nothing"), "c.crl": crl[:90], "d.ml": crl}, 0, 4},
		"signer":     {map[string][]byte{"ds.cer": must[*doc.State](t)(world().State("VNM")).Signer.Certificate}, 0, 0},
		"not a list": {map[string][]byte{"d.ml": mustSOD(t)}, 0, 1},
	} {
		trust, log := load(t, c.files)
		if trust.Certificates() != c.certs || log.count() != c.log {
			t.Errorf("%s: %d certificates, %d lines, want %d, %d:\n%s", name, trust.Certificates(), log.count(), c.certs, c.log, log)
		}
	}
}

func mustSOD(t testing.TB) []byte {
	d := must[*doc.Document](t)(world().VietnamID(holder))
	return must[ber.TLV](t)(ber.One(d.File(chip.FileSOD))).Value
}

func TestMasterListCounts(t *testing.T) {
	vn, de := authority(t, "VNM"), authority(t, "D")
	card := must[*doc.Document](t)(world().VietnamID(holder))
	inside := must[[]byte](t)(de.MasterList(vn.Certificate, de.Certificate))
	outside := must[[]byte](t)(de.MasterList(vn.Certificate))
	broken := clone(inside)
	broken[len(broken)-1] ^= 1
	altered := []byte(strings.Replace(string(inside), "CSCA VNM", "CSCA VNX", 1))
	for _, c := range []struct {
		name  string
		files map[string][]byte
		want  gate.Result
		log   string
	}{
		{"signer's CSCA inside", map[string][]byte{"a.ml": inside}, gate.Successful, ""},
		{"signer's CSCA in the folder", map[string][]byte{"a.ml": outside, "z.cer": de.Certificate}, gate.Successful, ""},
		{"signer's CSCA nowhere", map[string][]byte{"a.ml": outside}, gate.Undetermined, "its signer is not trusted"},
		{"signature broken", map[string][]byte{"a.ml": broken}, gate.Undetermined, "the signature does not verify"},
		{"content altered", map[string][]byte{"a.ml": altered}, gate.Undetermined, "signed digest"},
		{"bare", map[string][]byte{"a.ml": must[*pki.SignedData](t)(pki.ParseSignedData(inside)).Content}, gate.Undetermined, "carries no signature"},
	} {
		trust, log := load(t, c.files)
		if got := judged(t, trust, card); got.Result != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if !strings.Contains(log.String(), c.log) || (c.log == "") != (log.count() == 0) || log.count() > 1 {
			t.Errorf("%s: log %q, want one line with %q", c.name, log, c.log)
		}
	}
}

func TestLinkCertificates(t *testing.T) {
	old := authority(t, "VNM")
	make := func(seed int64, country string) *doc.Authority {
		cfg := old.Config
		cfg.Country = country
		return must[*doc.Authority](t)(doc.NewAuthority(seed, cfg))
	}
	next, after, foreign := make(101, "VN"), make(102, "VN"), make(103, "XX")
	link := func(by, of *doc.Authority) []byte { return must[[]byte](t)(by.Link(of)) }
	ds := func(a *doc.Authority) *pki.Certificate {
		s := must[*doc.Signer](t)(a.NewSigner("DS", time.Time{}, time.Time{}))
		return must[*pki.Certificate](t)(pki.ParseCertificate(s.Certificate))
	}
	any := func(*pki.Certificate) bool { return true }
	for _, c := range []struct {
		name   string
		files  map[string][]byte
		signer *pki.Certificate
		want   bool
	}{
		{"anchor alone", map[string][]byte{"a.cer": old.Certificate}, ds(old), true},
		{"next without link", map[string][]byte{"a.cer": old.Certificate}, ds(next), false},
		{"link under anchor", map[string][]byte{"a.cer": old.Certificate, "l.cer": link(old, next)}, ds(next), true},
		{"link without anchor", map[string][]byte{"l.cer": link(old, next)}, ds(next), false},
		{"two links", map[string][]byte{"0.cer": link(next, after), "1.cer": link(old, next), "2.cer": old.Certificate}, ds(after), true},
		{"two links, middle missing", map[string][]byte{"0.cer": link(next, after), "2.cer": old.Certificate}, ds(after), false},
		{"ring without anchor", map[string][]byte{"0.cer": link(next, after), "1.cer": link(after, next)}, ds(after), false},
		{"ring with anchor", map[string][]byte{"0.cer": link(next, after), "1.cer": link(after, next), "2.cer": link(old, next), "3.cer": old.Certificate}, ds(after), true},
		{"link to another country", map[string][]byte{"a.cer": old.Certificate, "l.cer": link(old, foreign)}, ds(foreign), false},
	} {
		trust, _ := load(t, c.files)
		for range 2 { // the second asks what was remembered
			if _, err := trust.issuerOf(c.signer, any); (err == nil) != c.want {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		}
	}
}

// A state takes a new key under its old name.
func TestSameNameSeveralKeys(t *testing.T) {
	a := authority(t, "VNM")
	b := must[*doc.Authority](t)(doc.NewAuthority(201, a.Config))
	card := must[*doc.Document](t)(world().VietnamID(holder))
	trust, _ := load(t, map[string][]byte{"b.cer": b.Certificate})
	if got := judged(t, trust, card); got.Result != gate.Undetermined || got.Code != gate.CodeNoCSCA {
		t.Errorf("only another key of the same name is known: %v", got)
	}
	trust, _ = load(t, map[string][]byte{"b.cer": b.Certificate, "a.cer": a.Certificate})
	if got := judged(t, trust, card); got.Result != gate.Successful {
		t.Errorf("both keys are known: %v", got)
	}
}

func TestRevocation(t *testing.T) {
	a := authority(t, "VNM")
	state := must[*doc.State](t)(world().State("VNM"))
	other := must[*doc.Authority](t)(doc.NewAuthority(301, a.Config))
	card := must[*doc.Document](t)(world().VietnamID(holder))
	list := func(by *doc.Authority, from, until time.Time, serials ...*big.Int) []byte {
		return must[[]byte](t)(by.CRL(from, until, 1, serials...))
	}
	mine := state.Signer.Serial
	current, stale := []time.Time{day(2026, 6, 1), day(2026, 7, 1)}, []time.Time{day(2026, 4, 1), day(2026, 5, 1)}
	forged := list(a, current[0], current[1], mine)
	forged[len(forged)-1] ^= 1
	for _, c := range []struct {
		name string
		crls [][]byte
		want string
	}{
		{"none", nil, "ds.revocation=U/1408"},
		{"current", [][]byte{list(a, current[0], current[1])}, "ds.revocation=S"},
		{"current, names another", [][]byte{list(a, current[0], current[1], big.NewInt(5))}, "ds.revocation=S"},
		{"stale", [][]byte{list(a, stale[0], stale[1])}, "ds.revocation=U/1409"},
		{"stale and current", [][]byte{list(a, stale[0], stale[1]), list(a, current[0], current[1])}, "ds.revocation=S"},
		{"names the signer", [][]byte{list(a, current[0], current[1], mine)}, "ds.revocation=F/1407 ds=F/1407"},
		{"stale, names the signer", [][]byte{list(a, stale[0], stale[1], mine), list(a, current[0], current[1])}, "ds.revocation=F/1407"},
		{"forged", [][]byte{forged}, "ds.revocation=U/1408"},
		{"by an unknown key", [][]byte{list(other, current[0], current[1], mine)}, "ds.revocation=U/1408"},
	} {
		files := map[string][]byte{"a.cer": a.Certificate}
		for i, b := range c.crls {
			files[string(rune('a'+i))+".crl"] = b
		}
		trust, _ := load(t, files)
		r := report{}
		r.add(NewJudge(trust).NewCase(now).SecurityObject(card.File(chip.FileSOD))...)
		r.expect(t, "ds.signature=S "+c.want)
		if t.Failed() {
			t.Fatal(c.name)
		}
	}
}

// A CSCA takes a new name with a new key. Its list speaks for the signers under
// the old name where link certificates, or the list itself, tie the names
// together (ICAO 9303-12 appendix D.1.2.3), and only then.
func TestRevocationAcrossNames(t *testing.T) {
	a := authority(t, "VNM")
	cfg := a.Config
	cfg.Name = "CSCA of another name"
	next := must[*doc.Authority](t)(doc.NewAuthority(302, cfg))
	card := must[*doc.Document](t)(world().VietnamID(holder))
	mine := must[*doc.State](t)(world().State("VNM")).Signer.Serial
	silent := must[[]byte](t)(next.CRL(day(2026, 6, 1), day(2026, 7, 1), 1))
	named := must[[]byte](t)(next.CRL(day(2026, 6, 1), day(2026, 7, 1), 1, mine))
	link := must[[]byte](t)(a.Link(next))
	for _, c := range []struct {
		name  string
		files map[string][]byte
		want  string
	}{
		{"no tie", map[string][]byte{"n.cer": next.Certificate, "l.crl": named}, "ds.revocation=U/1408"},
		{"link", map[string][]byte{"l.cer": link, "l.crl": silent}, "ds.revocation=S"},
		{"link and new anchor", map[string][]byte{"l.cer": link, "n.cer": next.Certificate, "l.crl": silent}, "ds.revocation=S"},
		{"link, names the signer", map[string][]byte{"l.cer": link, "l.crl": named}, "ds.revocation=F/1407"},
	} {
		c.files["a.cer"] = a.Certificate
		trust, _ := load(t, c.files)
		r := report{}
		r.add(NewJudge(trust).NewCase(now).SecurityObject(card.File(chip.FileSOD))...)
		r.expect(t, "ds.signature=S "+c.want)
		if t.Failed() {
			t.Fatal(c.name)
		}
	}
}

// Revoking a CSCA revokes what it signed, also by way of a link certificate.
func TestRevokedCSCA(t *testing.T) {
	a := authority(t, "VNM")
	cfg := a.Config
	cfg.Name = "CSCA that follows"
	next := must[*doc.Authority](t)(doc.NewAuthority(303, cfg))
	serial := func(der []byte) *big.Int {
		return new(big.Int).SetBytes(must[*pki.Certificate](t)(pki.ParseCertificate(der)).Serial)
	}
	trust, _ := load(t, map[string][]byte{
		"a.cer": a.Certificate, "l.cer": must[[]byte](t)(a.Link(next)),
		"a.crl": must[[]byte](t)(a.CRL(day(2026, 6, 1), day(2026, 7, 1), 1, serial(a.Certificate))),
	})
	for name, by := range map[string]*doc.Authority{"under the revoked key": a, "under one that it linked": next} {
		s := must[*doc.Signer](t)(by.NewSigner("DS", time.Time{}, time.Time{}))
		m := message{signer: must[*pki.Certificate](t)(pki.ParseCertificate(s.Certificate))}
		r := report{}
		r.add(trust.judgeSigner(now, m)...)
		r.expect(t, "ds.signature=S ds.revocation=F/1407 ds=F/1407")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// A document without its signer's certificate is judged by one of the folder.
func TestSignerFromFolder(t *testing.T) {
	state := must[*doc.State](t)(world().State("VNM"))
	for name, so := range map[string]doc.SecurityObject{"by number": {NoSigner: true}, "by key": {NoSigner: true, ByKeyID: true}} {
		card := must[*doc.Document](t)(world().VietnamID(holder, func(f *doc.Profile) { f.SOD = so }))
		files := map[string][]byte{"a.cer": state.Authority.Certificate}
		trust, _ := load(t, files)
		read(NewJudge(trust).NewCase(now), card, gate.Scan{}).expect(t, "sod.signature=U/1305 ds.signature=U/1305")
		files["ds.cer"] = state.Signer.Certificate
		trust, log := load(t, files)
		read(NewJudge(trust).NewCase(now), card, gate.Scan{}).expect(t, "sod=S ds.signature=S issuer=S")
		if t.Failed() || log.count() != 0 || trust.Certificates() != 1 {
			t.Fatal(name, log)
		}
	}
}

// Who may sign what: a CSCA or master list signer is no document signer.
func TestSignerUsage(t *testing.T) {
	vn, de := authority(t, "VNM"), authority(t, "D")
	csca := must[*pki.Certificate](t)(pki.ParseCertificate(vn.Certificate))
	ds := must[*pki.Certificate](t)(pki.ParseCertificate(must[*doc.State](t)(world().State("VNM")).Signer.Certificate))
	german := must[*pki.Certificate](t)(pki.ParseCertificate(de.Certificate))
	lists := *ds
	lists.ExtendedKeyUsage = []string{pki.OIDMasterListSigner}
	for name, c := range map[string]struct {
		cert, issuer *pki.Certificate
		want         bool
	}{
		"document signer": {ds, csca, true}, "CSCA": {csca, csca, false}, "list signer": {&lists, csca, false}, "another country": {ds, german, false},
	} {
		if maySign(c.cert, c.issuer) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
	if mayIssue(ds) || !mayIssue(csca) {
		t.Error("who may issue is confused")
	}
}

// The largest real list loads fast and is proven certificate by certificate.
func TestGermanMasterList(t *testing.T) {
	bare := germanList(t)
	trust, log := load(t, map[string][]byte{"DE.ml": bare})
	if trust.Certificates() != 0 || log.count() != 1 || !strings.Contains(log.String(), "carries no signature") {
		t.Errorf("the bare list: %d certificates, log %q", trust.Certificates(), log)
	}
	de := authority(t, "D")
	begin := time.Now()
	trust, log = load(t, map[string][]byte{"DE.ml": signList(t, de, bare), "de.cer": de.Certificate})
	t.Logf("loaded %d certificates in %v", trust.Certificates()-1, time.Since(begin))
	if trust.Certificates() != 588+1 || log.count() != 0 {
		t.Errorf("%d certificates, log %q", trust.Certificates(), log)
	}
	// Each certificate is trusted, or a reason says why not. Of the fourteen,
	// twelve are link certificates from a CSCA whose own certificate the list
	// does not hold (no certificate of the list verifies them), and two are
	// cross certificates between Bermuda and the United Kingdom.
	begin = time.Now()
	got := map[string]int{}
	for _, c := range trust.Inventory(now.Now).Certificates {
		got[c.Role]++
		if c.Role == "refused" || c.State != "valid" {
			got[string(c.Reason)+" "+c.State]++
		}
		if (c.Role == "refused") != (c.Reason != "") || c.Reason != "" && c.Reason.Text() == "" {
			t.Errorf("%s %s: %s without a reason", c.Country, c.Name, c.Role)
		}
	}
	for what, n := range map[string]int{"anchor": 375 + 1, "link": 199, "refused": 14, "no_issuer valid": 12, "other_country valid": 2} {
		if got[what] != n {
			t.Errorf("%d are %s, want %d", got[what], what, n)
		}
	}
	t.Logf("%v in %v", got, time.Since(begin))
}

func TestUnknownAlgorithms(t *testing.T) {
	// A card whose hash, signature or curve nobody here knows is undetermined,
	// never forged. The object identifiers are turned into ones of the same
	// length that name nothing.
	d := must[*doc.Document](t)(world().VietnamID(holder))
	sod := string(d.File(chip.FileSOD))
	swap := func(oid, by string) []byte {
		from, to := string(pki.EncodeOID(oid)), string(pki.EncodeOID(by))
		if len(from) != len(to) || !strings.Contains(sod, from) {
			t.Fatal("nothing to replace")
		}
		return []byte(strings.ReplaceAll(sod, from, to))
	}
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"signature": {swap("1.2.840.10045.4.3.2", "1.2.840.10045.4.3.9"), "sod.hash=S sod.signature=U/1304 sod=U/1304"},
		"hash":      {swap(pki.HashOID(crypto.SHA256), "2.16.840.1.101.3.4.2.11"), "sod.hash=U/1304 sod.signature=S sod=U/1304 integrity.dg1=U/1502"},
		"curve":     {swap("1.2.840.10045.2.1", "1.2.840.10045.2.9"), "sod.hash=S sod.signature=U/1304 sod=U/1304"},
	} {
		k := NewJudge(nil).NewCase(now)
		r := report{}
		r.add(k.SecurityObject(c.raw)...)
		r.add(k.DataGroup(1, d.File(chip.FileDG(1))))
		r.expect(t, c.want)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// A certificate that is meant for other things signs no master list.
func TestListSignerUsage(t *testing.T) {
	de := authority(t, "D")
	trust, _ := load(t, map[string][]byte{"a.cer": de.Certificate})
	for use, want := range map[string]bool{"": true, pki.OIDMasterListSigner: true, "1.3.6.1.5.5.7.3.2": false} {
		sd := must[*pki.SignedData](t)(pki.ParseSignedData(must[[]byte](t)(de.MasterList(de.Certificate))))
		for _, c := range sd.Certificates {
			if use != "" {
				c.ExtendedKeyUsage = []string{use}
			}
		}
		if _, err := trust.checkListSigner(sd, nil, mayListMasters); (err == nil) != want {
			t.Errorf("usage %q: %v", use, err)
		}
	}
}

// The signer of many documents is looked up once, and what was found fits the
// moment: of two certificates of one key, the one that is valid.
func TestIssuerIsRemembered(t *testing.T) {
	cfg := authority(t, "VNM").Config
	cfg.From, cfg.Until = day(2020, 1, 1), day(2022, 1, 1)
	old := must[*doc.Authority](t)(doc.NewAuthority(77, cfg))
	cfg.From, cfg.Until = day(2021, 1, 1), day(2040, 1, 1)
	renewed := must[*doc.Authority](t)(doc.NewAuthority(77, cfg)) // the same key
	s := must[*doc.Signer](t)(old.NewSigner("DS", day(2020, 1, 1), day(2040, 1, 1)))
	ds := must[*pki.Certificate](t)(pki.ParseCertificate(s.Certificate))
	trust, _ := load(t, map[string][]byte{"a.cer": old.Certificate, "b.cer": renewed.Certificate, "c.cer": authority(t, "VNM").Certificate})
	for range 2 {
		for at, want := range map[time.Time]string{day(2020, 6, 1): "ds.validity=S", day(2030, 1, 1): "ds.validity=S", day(2041, 1, 1): "ds.validity=F/1404"} {
			r := report{}
			r.add(trust.judgeSigner(gate.TrustedTime{Now: at, Trusted: true}, message{signer: ds})...)
			r.expect(t, "ds.signature=S "+want)
		}
	}
	if len(trust.issued) != 1 {
		t.Errorf("%d signers are remembered", len(trust.issued))
	}
}
