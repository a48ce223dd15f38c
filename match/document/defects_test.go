package document

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ber"
	"gateagent/match/document/defect"
	"gateagent/match/document/pki"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// listing signs a defect list by a German list signer.
func listing(t testing.TB, version int, defects ...doc.Defect) []byte {
	t.Helper()
	de := authority(t, "D")
	s := must[*doc.Signer](t)(de.NewListSigner("Defect list signer", doc.DefectListUsage))
	return must[[]byte](t)(de.DefectList(s, version, doc.SecurityObject{}, defects...))
}

// knowing gives a judge that trusts every state and holds a defect list.
func knowing(t testing.TB, list []byte) *Judge {
	t.Helper()
	dir := t.TempDir()
	if err := world().WriteTrust(dir, "D", "VNM", "NLD"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "list.dl", list)
	var log lines
	j := NewJudge(must[*Trust](t)(LoadTrust(dir, log.logger())))
	if log.count() != 0 {
		t.Fatal(log.String())
	}
	return j
}

func signerOf(t testing.TB, state string) *doc.Signer {
	t.Helper()
	return must[*doc.State](t)(world().State(state)).Signer
}

// What every kind of defect does to the report of a genuine document and of
// one that fails where the defect says that it will.
func TestDefects(t *testing.T) {
	other := must[*doc.Signer](t)(authority(t, "VNM").NewSigner("Document signer 7", day(2020, 1, 1), day(2040, 1, 1)))
	country := doc.KnownDefect{OID: doc.DefectIssuingCountry, Parameter: ber.Make(ber.PrintableString, []byte("LA"))}
	badSign := func(f *doc.Profile) { f.SOD.BadSign = true }
	badDigest := func(f *doc.Profile) { f.SOD.BadDigest = true }
	expired := doc.With(doc.ExpiredSigner)
	genuine := must[*doc.Document](t)(world().VietnamID(holder))
	for i, c := range []struct {
		name  string
		known doc.KnownDefect
		opt   doc.Option
		want  string
	}{
		{"revoked", doc.WithStatus(doc.DefectCertRevoked, 0), nil, "ds.signature=S ds.revocation=F/1407 ds.trust=F/1410 ds=F/1407"},
		{"revoked by issuer", doc.WithStatus(doc.DefectCertRevoked, 3), nil, "ds.revocation=F/1407 ds.trust=F/1410"},
		{"revoked, test key", doc.WithStatus(doc.DefectCertRevoked, 2), nil, "ds.revocation=F/1407 ds.trust=F/1410"},
		{"revoked, no status", doc.KnownDefect{OID: doc.DefectCertRevoked}, nil, "ds.revocation=F/1407 ds.trust=F/1410"},
		{"on hold", doc.WithStatus(doc.DefectCertRevoked, 1), nil, "ds.revocation=U/1410 ds.trust=U/1410 ds=U/1410"},
		{"inadequate", doc.WithStatus(doc.DefectCertRevoked, 5), nil, "ds.revocation=U/1410 ds.trust=U/1410"},
		{"private status", doc.WithStatus(doc.DefectCertRevoked, 40), nil, "ds.trust=U/1410"},
		{"signer malformed", doc.WithStatus(doc.DefectDSMalformed, 2), nil, "ds.revocation=S ds.trust=U/1410"},
		{"unknown fault of the document", doc.KnownDefect{OID: "0.4.0.127.0.7.3.1.5.4.99"}, nil, "ds.trust=U/1410"},
		{"unknown fault of another kind", doc.KnownDefect{OID: "0.4.0.127.0.7.3.1.5.3.1"}, nil, "ds=S"},
		{"power down", doc.KnownDefect{OID: "0.4.0.127.0.7.3.1.5.4.3"}, nil, "ds=S"},
		{"validity", doc.WithStatus(doc.DefectValidityIncorrect, 1), nil, "ds.validity=U/1412 ds.trust=S"},
		{"object invalid, genuine", doc.WithStatus(doc.DefectSODInvalid, 1), nil, "sod=S ds=S"},
		{"object invalid, signature wrong", doc.WithStatus(doc.DefectSODInvalid, 1), badSign, "sod.hash=S sod.signature=U/1412 sod=U/1412"},
		{"object invalid, unsaid how", doc.KnownDefect{OID: doc.DefectSODInvalid}, badSign, "sod.signature=U/1412"},
		{"object invalid in another way", doc.WithStatus(doc.DefectSODInvalid, 2), badSign, "sod.signature=F/1303 sod=F/1303"},
		{"object invalid, digest wrong", doc.WithStatus(doc.DefectSODInvalid, 2), badDigest, "sod.hash=U/1412 sod.signature=S"},
		{"object invalid, data altered", doc.WithStatus(doc.DefectSODInvalid, 0), doc.With(doc.AlterDG1), "sod=S integrity.dg1=F/1501"},
		{"groups malformed", doc.Malformed(2), nil, "integrity.dg2=S ds=S"},
		{"country", country, nil, "ds.signature=U/1401 issuer=F/1601"},
		{"replaced by one of the CSCA", doc.Replaced(other.Certificate), nil, "sod.signature=F/1303 ds.signature=S"},
		{"another signer", doc.WithStatus(doc.DefectValidityIncorrect, 1), expired, "ds.validity=F/1404"},
	} {
		version := 1 + i%2
		j := knowing(t, listing(t, version, doc.Defect{Signer: signerOf(t, "VNM"), ByKeyID: version == 2, ByHash: version == 1, Known: []doc.KnownDefect{c.known}}))
		card := genuine
		if c.opt != nil {
			card = must[*doc.Document](t)(world().VietnamID(holder, c.opt))
		}
		read(j.NewCase(now), card, gate.Scan{}).expect(t, c.want)
		if t.Failed() {
			t.Fatalf("%s, version %d", c.name, version)
		}
	}
}

// A replacement that no CSCA signed is good for the signature of the object
// and proves nothing of its own.
func TestReplacedSigner(t *testing.T) {
	card := must[*doc.Document](t)(world().VietnamID(holder))
	sod := string(card.File(chip.FileSOD))
	original := string(signerOf(t, "VNM").Certificate)
	// The same key under a certificate whose own signature is broken.
	unsigned := []byte(original)
	unsigned[len(unsigned)-1] ^= 1
	// A certificate in the document that does not parse: its version number
	// has become something else.
	spoilt := strings.Replace(original, "\xA0\x03\x02\x01\x02", "\xA0\x03\x05\x01\x02", 1)
	spoilt = strings.Replace(spoilt, "\x30\x1E\x17\x0D", "\x30\x1E\x16\x0D", 1)
	broken := []byte(strings.Replace(sod, original, spoilt, 1))
	for name, c := range map[string]struct {
		sod  []byte
		by   []byte
		want string
	}{
		"no list":           {broken, nil, "sod=F/1301 ds.signature=U/1305"},
		"by an equal":       {broken, []byte(original), "sod=S ds.signature=S ds=S"},
		"by one not signed": {broken, unsigned, "sod=S ds.signature=U/1412 ds.trust=S"},
	} {
		j := trusting(t)
		if c.by != nil {
			j = knowing(t, listing(t, 1, doc.Defect{Signer: signerOf(t, "VNM"), Known: []doc.KnownDefect{doc.Replaced(c.by)}}))
		}
		r := report{}
		r.add(j.NewCase(now).SecurityObject(c.sod)...)
		r.expect(t, c.want)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// An object that names its signer wrongly is mended by a list that knows the
// right one, from the object itself or from the folder.
func TestWrongSignerIdentifier(t *testing.T) {
	real := signerOf(t, "VNM")
	ds := must[*pki.Certificate](t)(pki.ParseCertificate(real.Certificate))
	wrong := *real
	wrong.Serial = new(big.Int).Xor(real.Serial, big.NewInt(1))
	misnamed := func(so doc.SecurityObject) []byte {
		card := must[*doc.Document](t)(world().VietnamID(holder, func(f *doc.Profile) { f.SOD = so }))
		sod := card.File(chip.FileSOD)
		at := bytes.LastIndex(sod, ds.Serial) // no signature covers the identifier
		sod = clone(sod)
		sod[at+len(ds.Serial)-1] ^= 1
		return sod
	}
	right := doc.KnownDefect{OID: defect.OIDList + ".2.4", Parameter: ber.Make(0x80, ds.KeyID())}
	j := knowing(t, listing(t, 1, doc.Defect{Signer: &wrong, Known: []doc.KnownDefect{right}}))
	for name, c := range map[string]struct {
		judge *Judge
		so    doc.SecurityObject
		want  string
	}{
		"no list":                  {trusting(t), doc.SecurityObject{}, "sod.signature=U/1305 ds.signature=U/1305"},
		"list":                     {j, doc.SecurityObject{}, "sod=S ds.signature=S ds=S"},
		"list, no certificate":     {j, doc.SecurityObject{NoSigner: true}, "sod.signature=U/1305"},
		"list, signature is wrong": {j, doc.SecurityObject{BadSign: true}, "sod.signature=F/1303"},
	} {
		r := report{}
		r.add(c.judge.NewCase(now).SecurityObject(misnamed(c.so))...)
		r.expect(t, c.want)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	j.trust.Load().signers.add(ds)
	r := report{}
	r.add(j.NewCase(now).SecurityObject(misnamed(doc.SecurityObject{NoSigner: true}))...)
	r.expect(t, "sod=S ds.signature=S ds=S")
}

// Chip proofs whose keys others know fail; those that are known to fail accuse
// nobody.
func TestDefectsOfProofs(t *testing.T) {
	card := must[*doc.Document](t)(world().VietnamID(holder))
	for _, c := range []struct {
		name  string
		known doc.KnownDefect
		id    gate.CheckID
		is    gate.Result
		want  gate.Result
		code  gate.Code
	}{
		{"keys compromised", doc.KnownDefect{OID: doc.DefectChipAuthRevoked}, gate.CheckChipAuth, gate.Successful, gate.Failed, gate.CodeProofKeyRevoked},
		{"mapping with them", doc.KnownDefect{OID: doc.DefectChipAuthRevoked}, gate.CheckPACECAM, gate.Successful, gate.Failed, gate.CodeProofKeyRevoked},
		{"other keys", doc.KnownDefect{OID: doc.DefectChipAuthRevoked}, gate.CheckActiveAuth, gate.Successful, gate.Successful, 0},
		{"active keys", doc.KnownDefect{OID: doc.DefectActiveAuthRevoked}, gate.CheckActiveAuth, gate.Undetermined, gate.Failed, gate.CodeProofKeyRevoked},
		{"not offered", doc.KnownDefect{OID: doc.DefectActiveAuthRevoked}, gate.CheckActiveAuth, gate.NotSupported, gate.NotSupported, 0},
		{"document left", doc.KnownDefect{OID: doc.DefectActiveAuthRevoked}, gate.CheckActiveAuth, gate.Aborted, gate.Aborted, 0},
		{"known to fail", doc.WithStatus(doc.DefectProtocolFailure, 0), gate.CheckChipAuth, gate.Failed, gate.Undetermined, gate.CodeDefect},
		{"known to fail, does not", doc.WithStatus(doc.DefectProtocolFailure, 0), gate.CheckChipAuth, gate.Successful, gate.Successful, 0},
		{"another known to fail", doc.WithStatus(doc.DefectProtocolFailure, 0), gate.CheckActiveAuth, gate.Failed, gate.Failed, 0},
		{"all known to fail", doc.WithStatus(doc.DefectProtocolFailure, 6), gate.CheckActiveAuth, gate.Failed, gate.Undetermined, gate.CodeDefect},
	} {
		k := knowing(t, listing(t, 2, doc.Defect{Signer: signerOf(t, "VNM"), Known: []doc.KnownDefect{c.known}})).NewCase(now)
		k.SecurityObject(card.File(chip.FileSOD))
		if got := k.ChipProof(gate.Check{ID: c.id, Result: c.is}); got.ID != c.id || got.Result != c.want || got.Code != c.code {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// A list marks a CSCA, and with it all that it signed; without any CSCA the
// list is heard all the same.
func TestDefectOfIssuer(t *testing.T) {
	vn := authority(t, "VNM")
	csca := must[*pki.Certificate](t)(pki.ParseCertificate(vn.Certificate))
	card := must[*doc.Document](t)(world().VietnamID(holder))
	marked := *signerOf(t, "VNM") // the issuer's name with the CSCA's own number
	marked.Serial = new(big.Int).SetBytes(csca.Serial)
	for status, want := range map[byte]string{0: "ds.revocation=S ds.trust=F/1410", 1: "ds.revocation=S ds.trust=U/1410"} {
		r := report{}
		r.add(knowing(t, listing(t, 1, doc.Defect{Signer: &marked, Known: []doc.KnownDefect{doc.WithStatus(doc.DefectCertRevoked, status)}})).
			NewCase(now).SecurityObject(card.File(chip.FileSOD))...)
		r.expect(t, want)
	}
	j := knowing(t, listing(t, 1, doc.Defect{Signer: signerOf(t, "VNM"), Known: []doc.KnownDefect{doc.WithStatus(doc.DefectCertRevoked, 0)}}))
	j.trust.Load().byName, j.trust.Load().byKey = nil, nil // as if no CSCA were known
	r := report{}
	r.add(j.NewCase(now).SecurityObject(card.File(chip.FileSOD))...)
	r.expect(t, "ds.signature=U/1401 ds.revocation=F/1407 ds.trust=U/1401")
}

// Who may sign a defect list, and that no other counts.
func TestDefectListSigner(t *testing.T) {
	de := authority(t, "D")
	card := must[*doc.Document](t)(world().VietnamID(holder))
	entry := doc.Defect{Signer: signerOf(t, "VNM"), Known: []doc.KnownDefect{doc.WithStatus(doc.DefectCertRevoked, 0)}}
	by := func(s *doc.Signer, err error) func(doc.SecurityObject) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return func(so doc.SecurityObject) []byte { return must[[]byte](t)(de.DefectList(s, 1, so, entry)) }
	}
	good := by(de.NewListSigner("Defect list signer", doc.DefectListUsage))
	stranger := must[*doc.Authority](t)(doc.NewAuthority(99, doc.AuthorityConfig{Country: "XX", Name: "CSCA", CA: doc.Algorithm{Curve: "P-256", Hash: 5}, Signer: doc.Algorithm{Curve: "P-256", Hash: 5}}))
	for name, c := range map[string]struct {
		list []byte
		log  string
	}{
		"good":             {good(doc.SecurityObject{}), ""},
		"document signer":  {by(signerOf(t, "D"), nil)(doc.SecurityObject{}), "may not sign such lists"},
		"master list's":    {by(de.NewListSigner("Master list signer", doc.MasterListUsage))(doc.SecurityObject{}), "may not sign such lists"},
		"unknown CSCA":     {by(stranger.NewListSigner("Defect list signer", doc.DefectListUsage))(doc.SecurityObject{}), "not trusted"},
		"broken signature": {good(doc.SecurityObject{BadSign: true}), "does not verify"},
		"other content":    {good(doc.SecurityObject{BadDigest: true}), "signed digest"},
		"no certificate":   {good(doc.SecurityObject{NoSigner: true}), "not at hand"},
		"master list":      {must[[]byte](t)(de.MasterList(de.Certificate)), "is no defect list"},
		"noise":            {[]byte("noise"), "CMS"},
	} {
		trust, log := load(t, map[string][]byte{"list.dfl": c.list, "de.cer": de.Certificate, "vn.cer": authority(t, "VNM").Certificate})
		r := report{}
		r.add(NewJudge(trust).NewCase(now).SecurityObject(card.File(chip.FileSOD))...)
		if c.log == "" {
			r.expect(t, "ds.revocation=F/1407")
		} else {
			r.expect(t, "ds.revocation=U/1408 ds.trust=S")
		}
		if !strings.Contains(log.String(), c.log) || (c.log == "") != (log.count() == 0) || log.count() > 1 {
			t.Errorf("%s: log %q", name, log)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}
