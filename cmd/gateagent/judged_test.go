package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/match/document"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// near hands commands straight to a virtual chip, without a reader between.
type near struct{ c *chip.Chip }

func (n near) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if out := n.c.Process(apdu); out != nil {
		return out, nil
	}
	return nil, gate.ErrCardGone
}

// vietnam and passport are the reports on flawless documents: the citizen
// card opened by its QR code, the passport by its machine readable zone.
const (
	vietnam = `mrz.check_digits=N1704 access.pace=S access.bac=N access.terminal_auth=U1210 access=S
		chip.active_auth=N1204 chip.chip_auth=S chip.pace_cam=N1205 chip.card_security=N1109 chip=S
		sod.*=S ds.*=S integrity.*=N1110 integrity.com=N1109 integrity.dg1=S integrity.dg2=S integrity.dg3=N1109
		integrity.dg13=N1109 integrity.dg14=S integrity.dg15=N1109 integrity=S issuer=S expiry=S mrz.dg1=S `
	passport = vietnam + `mrz.check_digits=S access.terminal_auth=N1205 integrity.dg3=N1110
		integrity.dg11=N1109 integrity.dg12=N1109 integrity.dg13=N1110 integrity.dg15=N1110 `
	// onlyBAC: no PACE and nothing that follows from it.
	onlyBAC = passport + `access.pace=N access.bac=S chip.active_auth=N1205 chip.chip_auth=N1205 chip=N1205 integrity.dg14=N1110 `
	// activeRSA proves the chip by DG15.
	activeRSA = onlyBAC + `chip.active_auth=S chip=S integrity.dg15=S `
	// unproven is what a security object that is not successful leaves open.
	unproven = ` issuer=U1506 expiry=U1506 mrz.dg1=U1506 chip.chip_auth=U1203 chip=U1203 `
	// noObject is what cannot be judged at all where it is malformed.
	noObject = ` chip.active_auth=N1004 chip.chip_auth=N1004 chip=N1004 integrity.*=N1004 integrity.com=N1109 integrity=U1004 issuer=U1004 expiry=U1004 mrz.dg1=N1004 `
)

func citizen(i int, opts ...doc.Option) func(*testing.T) *doc.Document {
	return func(t *testing.T) *doc.Document {
		return must[*doc.Document](t)(world().VietnamID(world().Citizen(i), opts...))
	}
}

// foreign makes a passport of traveller i: 0 Utopia, 1 Germany, 2 France, 3
// the Netherlands.
func foreign(i int, opts ...doc.Option) func(*testing.T) *doc.Document {
	return func(t *testing.T) *doc.Document {
		return must[*doc.Document](t)(world().Passport(world().Foreigner(i), opts...))
	}
}

func rsaKey() doc.Algorithm { return doc.Algorithm{RSA: 1024, Hash: crypto.SHA256} }

func ecKey() doc.Algorithm { return doc.Algorithm{Curve: "P-256", Hash: crypto.SHA256} }

// visit is one document before the reader.
type visit struct {
	name  string
	make  func(*testing.T) *doc.Document
	opt   readOptions // keys are filled in where none is given
	chip  func(*chip.Config)
	trust func(t *testing.T, dir string) // changes the trust folder
	want  string
}

func visits() []visit { return slices.Concat(citizens(), passports()) }

// citizens are the visits with a citizen card, and what goes wrong around it.
func citizens() []visit {
	with, full := doc.With, readOptions{full: true}
	profile := func(change func(*doc.Profile)) doc.Option { return change }
	return []visit{
		{name: "citizen card by QR", make: citizen(1), want: vietnam},
		{name: "citizen card by CAN", make: citizen(2), opt: readOptions{can: "own"}, want: vietnam + "mrz.dg1=N1705"},
		{name: "citizen card by MRZ", make: citizen(3), opt: readOptions{mrz: "own"}, want: vietnam + "mrz.check_digits=S"},
		{name: "citizen card in full", make: citizen(4), opt: full,
			want: vietnam + "integrity.com=S integrity.dg3=N1108 integrity.dg13=S integrity.dg15=S"},
		{name: "unlimited card", make: citizen(5, profile(func(f *doc.Profile) { f.Unlimited = true })), opt: readOptions{at: "untrusted"},
			want: vietnam + "ds.validity=U1406 ds.revocation=U1406 ds=U1406"},
		{name: "DG1 altered", make: citizen(6, with(doc.AlterDG1)),
			want: vietnam + "integrity.dg1=F1501 integrity=F1501 issuer=U1506 expiry=U1506 mrz.dg1=U1506"},
		{name: "DG2 altered", make: citizen(7, with(doc.AlterDG2)), want: vietnam + "integrity.dg2=F1501 integrity=F1501"},
		{name: "signature broken", make: citizen(8, with(doc.BreakSignature)),
			want: vietnam + "sod.signature=F1303 sod=F1303 chip.active_auth=U1203 integrity.dg15=S" + unproven},
		{name: "signer forged", make: citizen(9, with(doc.ForgeSigner)), want: vietnam + "ds.signature=F1402 ds=F1402"},
		{name: "unknown issuer", make: citizen(10, with(doc.UnknownIssuer)), want: vietnam + "ds.*=U1401"},
		{name: "revoked signer", make: citizen(11, with(doc.RevokedSigner)), want: vietnam + "ds.revocation=F1407 ds=F1407"},
		{name: "clone", make: citizen(12, with(doc.Clone)),
			want: vietnam + `chip.chip_auth=F1202 chip.active_auth=N1004 chip=F1202 integrity.dg1=N1004 integrity.dg2=N1004
			integrity.dg15=N1004 integrity=U1004 issuer=U1004 expiry=U1004 mrz.dg1=N1004`},
		{name: "clone that is mute", make: citizen(13, with(doc.CloneMute)),
			want: vietnam + "chip.chip_auth=F1201 chip.active_auth=F1201 chip=F1201 integrity.dg15=S"},
		{name: "DG14 withheld", make: citizen(14, with(doc.WithholdDG14)),
			want: vietnam + "chip.chip_auth=F1201 chip.active_auth=S chip=F1201 integrity.dg14=F1505 integrity.dg15=S integrity=F1505"},
		{name: "DG15 withheld and not needed", make: citizen(15, with(doc.WithholdDG15)), want: vietnam},
		{name: "DG15 withheld in full", make: citizen(15, with(doc.WithholdDG15)), opt: full,
			want: vietnam + "integrity.com=S integrity.dg3=N1108 integrity.dg13=S integrity.dg15=F1505 integrity=F1505 chip=F1201"},
		{name: "expired card", make: citizen(16, doc.Expired()), want: vietnam + "expiry=F1603"},
		{name: "no trust", make: citizen(17), opt: readOptions{trust: "-"}, want: vietnam + "ds.*=U1401"},
		{name: "clock not trusted", make: citizen(18), opt: readOptions{at: "untrusted"},
			want: vietnam + "ds.validity=U1406 ds.revocation=U1406 ds=U1406 expiry=U1406"},
		{name: "long after", make: citizen(19, doc.Expiring(day)), opt: readOptions{at: "2046-01-01T00:00:00Z"},
			want: vietnam + "ds.validity=F1404 ds.revocation=U1409 ds=F1404 expiry=F1603"},
		{name: "signer on a defect list", make: citizen(19), trust: defectList("VNM", doc.WithStatus(doc.DefectCertRevoked, 0)),
			want: vietnam + "ds.revocation=F1407 ds.trust=F1410 ds=F1407"},
		{name: "signer doubtful", make: citizen(19), trust: defectList("VNM", doc.WithStatus(doc.DefectCertRevoked, 1)),
			want: vietnam + "ds.revocation=U1410 ds.trust=U1410 ds=U1410"},
		{name: "chip keys on a defect list", make: citizen(19), trust: defectList("VNM", doc.KnownDefect{OID: doc.DefectChipAuthRevoked}),
			want: vietnam + "chip.chip_auth=F1207 chip=F1207"},
		{name: "clone of a chip that is known to fail", make: citizen(12, with(doc.CloneMute)),
			trust: defectList("VNM", doc.WithStatus(doc.DefectProtocolFailure, 2)),
			want:  vietnam + "chip.chip_auth=U1412 chip.active_auth=U1412 chip=U1412 integrity.dg15=S"},
		{name: "no CRL", make: citizen(20), trust: removeCRLs, want: vietnam + "ds.revocation=U1408 ds=U1408"},
		{name: "no CRL where one is required", make: citizen(20), opt: readOptions{requireCRL: true}, trust: removeCRLs,
			want: vietnam + "ds.revocation=U1408 ds=U1408"},
		{name: "CRL where one is required", make: citizen(21), opt: readOptions{requireCRL: true}, want: vietnam},
		{name: "CRL past its next update", make: foreign(1), trust: staleCRL("D"), want: passport + "ds.revocation=U1409 ds=U1409"},
		{name: "old CRL still revokes", make: foreign(1, with(doc.RevokedSigner)), trust: staleCRL("D"), want: passport + "ds.revocation=F1407 ds=F1407"},
	}
}

// passports are the visits with a passport.
func passports() []visit {
	with, full := doc.With, readOptions{full: true}
	served := func(id uint16, raw []byte) func(*chip.Config) {
		return func(c *chip.Config) { c.Files[id] = raw }
	}
	gone := func(id uint16) func(*chip.Config) {
		return func(c *chip.Config) { delete(c.Files, id) }
	}
	profile := func(change func(*doc.Profile)) doc.Option { return change }
	sod := func(s doc.SecurityObject) doc.Option { return profile(func(f *doc.Profile) { f.SOD = s }) }
	noSigner := ` sod.signature=U1305 sod=U1305 ds.*=U1305` + unproven
	return []visit{
		{name: "passport of Utopia", make: foreign(0), want: passport},
		{name: "passport of Germany", make: foreign(1), want: passport},
		{name: "passport of France", make: foreign(2), want: passport},
		{name: "passport of the Netherlands", make: foreign(3), want: passport},
		{name: "passport in full", make: foreign(0), opt: full, want: passport + "integrity.com=S integrity.dg11=S integrity.dg12=S"},
		{name: "passport by CAN", make: foreign(0), opt: readOptions{can: "own"}, want: passport + "mrz.check_digits=N1704 mrz.dg1=N1705"},
		{name: "BAC alone", make: foreign(0, doc.OnlyBAC()), want: onlyBAC},
		{name: "BAC alone by CAN", make: foreign(0, doc.OnlyBAC()), opt: readOptions{can: "own"},
			want: noObjectOf("access.*=N1004 access=N1011 mrz.check_digits=N1704 sod.*=U1004 ds.*=U1004 mrz.dg1=N1705")},
		{name: "AA by RSA", make: foreign(1, doc.OnlyBAC(), doc.ActiveAuthWith(rsaKey())), want: activeRSA},
		{name: "AA by ECDSA", make: foreign(1, doc.OnlyBAC(), doc.ActiveAuthWith(ecKey())), want: activeRSA + "integrity.dg14=S"},
		{name: "AA of a clone", make: foreign(1, doc.OnlyBAC(), doc.ActiveAuthWith(rsaKey()), with(doc.Clone)),
			want: activeRSA + "chip.active_auth=F1202 chip=F1202"},
		{name: "AA of a mute clone", make: foreign(1, doc.OnlyBAC(), doc.ActiveAuthWith(ecKey()), with(doc.CloneMute)),
			want: activeRSA + "integrity.dg14=S chip.active_auth=F1201 chip=F1201"},
		{name: "AA withheld", make: foreign(1, doc.OnlyBAC(), doc.ActiveAuthWith(rsaKey()), with(doc.WithholdDG15)),
			want: activeRSA + "chip.active_auth=F1201 chip=F1201 integrity.dg15=F1505 integrity=F1505"},
		{name: "PACE hidden", make: foreign(3, with(doc.HidePACE)), want: passport + "access.pace=F1013 access.bac=S access=F1013"},
		{name: "group served and not listed", make: foreign(3, profile(func(f *doc.Profile) { f.Hidden = []int{7} })), opt: full,
			want: passport + "integrity.com=S integrity.dg7=F1504 integrity.dg11=S integrity.dg12=S integrity=F1504"},
		{name: "the same, not asked for", make: foreign(3, profile(func(f *doc.Profile) { f.Hidden = []int{7} })), want: passport},
		{name: "group locked", make: foreign(3, profile(func(f *doc.Profile) { f.Denied = []int{11} })), opt: full,
			want: passport + "integrity.com=S integrity.dg11=U1108 integrity.dg12=S"},
		{name: "DG2 locked", make: foreign(3, profile(func(f *doc.Profile) { f.Denied = []int{2} })), want: passport + "integrity.dg2=F1505 integrity=F1505"},
		{name: "DG1 locked", make: foreign(3, profile(func(f *doc.Profile) { f.Denied = []int{1} })),
			want: passport + "integrity.dg1=F1505 integrity=F1505 issuer=U1506 expiry=U1506 mrz.dg1=U1506"},
		{name: "DG14 locked", make: foreign(3, profile(func(f *doc.Profile) { f.Denied = []int{14} })),
			want: passport + "integrity.dg14=F1505 integrity=F1505 chip.chip_auth=F1201 chip.active_auth=N1205 chip=F1201"},
		{name: "DG12 denied to be there", make: foreign(3), chip: gone(chip.FileDG(12)), opt: full,
			want: passport + "integrity.com=S integrity.dg11=S integrity.dg12=F1505 integrity=F1505"},
		{name: "fingerprints not locked", make: foreign(3, profile(func(f *doc.Profile) { f.Groups = []int{1, 2, 3} })), opt: full,
			want: passport + "integrity.com=S integrity.dg3=S integrity.dg11=N1110 integrity.dg12=N1110"},
		{name: "portrait is none", make: foreign(3, doc.Portrait([]byte("not a picture at all"), 4, 4)), want: passport + "integrity.dg2=U1503 integrity=U1503"},
		{name: "DG2 shorter than it says", make: foreign(3), chip: func(c *chip.Config) {
			c.Files[chip.FileDG(2)] = c.Files[chip.FileDG(2)][:9000]
		}, want: passport + "integrity.dg2=F1103 integrity=F1103"},
		{name: "DG2 says it is shorter", make: foreign(3), chip: func(c *chip.Config) {
			c.Files[chip.FileDG(2)] = bytes.Join([][]byte{{0x75, 0x82, 0x10, 0}, c.Files[chip.FileDG(2)][4:]}, nil)
		}, want: passport + "integrity.dg2=F1501 integrity=F1501"},
		{name: "DG2 says it is endless", make: foreign(3), chip: served(chip.FileDG(2), []byte{0x75, 0x84, 0x7F, 0xFF, 0xFF, 0xFF, 0}),
			want: passport + "integrity.dg2=F1103 integrity=F1103"},
		{name: "EF.COM lists others", make: foreign(3), opt: full,
			chip: served(chip.FileCOM, []byte("\x60\x14\x5F\x01\x040107\x5F\x36\x06040000\x5C\x02\x61\x75")),
			want: passport + "integrity.com=F1507 integrity.dg11=S integrity.dg12=S"},
		{name: "no EF.COM", make: foreign(3), opt: full, chip: gone(chip.FileCOM), want: passport + "integrity.com=N1107 integrity.dg11=S integrity.dg12=S"},
		{name: "security object is nonsense", make: foreign(3), chip: served(chip.FileSOD, []byte{0x77, 3, 1, 2, 3}),
			want: passport + "sod.hash=U1301 sod.signature=U1301 sod=F1301 ds.*=U1305" + noObject},
		{name: "security object is empty", make: foreign(3), chip: served(chip.FileSOD, []byte{}),
			want: passport + "sod.hash=F1103 sod.signature=U1004 sod=F1103 ds.*=U1004" + noObject},
		{name: "security object is huge", make: foreign(3), chip: served(chip.FileSOD, []byte{0x77, 0x83, 0x20, 0, 0}),
			want: passport + "sod.hash=F1106 sod.signature=U1004 sod=F1106 ds.*=U1004" + noObject},
		{name: "no security object", make: foreign(3), chip: gone(chip.FileSOD),
			want: passport + "sod.hash=F1107 sod.signature=U1004 sod=F1107 ds.*=U1004" + noObject},
		{name: "signer not in the object", make: foreign(3, sod(doc.SecurityObject{NoSigner: true})), want: passport + noSigner + "chip.active_auth=N1205"},
		{name: "digest of something else", make: foreign(3, sod(doc.SecurityObject{BadDigest: true})),
			want: passport + "sod.hash=F1302 sod=F1302 chip.active_auth=N1205" + unproven},
		{name: "signer of another country", make: stateless("AUT", "CH"), trust: sameTrust, want: passport + "issuer=F1601"},
		{name: "issuer that nobody knows", make: stateless("QQQ", "QQ"), trust: sameTrust, want: passport + "issuer=U1602"},
		{name: "no application", make: foreign(3), chip: func(c *chip.Config) { c.AID = []byte{1, 2, 3, 4, 5} },
			want: noObjectOf("chip.pace_cam=N1205 chip.card_security=N1109 access.pace=S access.bac=N access=N1010 access.terminal_auth=N1205 mrz.check_digits=S sod.*=U1004 ds.*=U1004")},
		{name: "wrong CAN", make: citizen(22), opt: readOptions{can: "000000"},
			want: noObjectOf("access.pace=A1101 access.bac=N access=A1101 access.terminal_auth=U1210 mrz.check_digits=N1704 sod.*=U1004 ds.*=U1004 mrz.dg1=N1705")},
		{name: "MRZ of somebody else", make: foreign(3, doc.OnlyBAC()), opt: readOptions{mrz: specimen},
			want: noObjectOf("access.pace=N access.bac=A1101 access=A1101 access.terminal_auth=N1004 mrz.check_digits=S sod.*=U1004 ds.*=U1004")},
	}
}

const specimen = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<</L898902C36UTO7408122F1204159ZE184226B<<<<<10"

// noObjectOf is a report that ended before the security object.
func noObjectOf(words string) string {
	return noObject + "chip.pace_cam=N1004 chip.card_security=N1004 " + words
}

func removeCRLs(t *testing.T, dir string) {
	for _, f := range must[[]string](t)(filepath.Glob(filepath.Join(dir, "*.crl"))) {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

// staleCRL replaces the revocation lists by one of the state that is past its
// next update and lists the revoked signer.
func staleCRL(code string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		removeCRLs(t, dir)
		s := must[*doc.State](t)(world().State(code))
		revoked := must[*doc.Signer](t)(s.Authority.NewSigner("Document signer 2", time.Time{}, time.Time{}))
		raw := must[[]byte](t)(s.Authority.CRL(day.AddDate(0, -3, 0), day.AddDate(0, -2, 0), 7, revoked.Serial))
		if err := os.WriteFile(filepath.Join(dir, "stale.crl"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// stateless makes a passport whose state's certificates name that country.
func stateless(code, country string) func(*testing.T) *doc.Document {
	return func(t *testing.T) *doc.Document {
		must[*doc.State](t)(world().AddState(code, doc.AuthorityConfig{Country: country, Name: "CSCA " + code, CA: ecKey(), Signer: ecKey()}))
		p := world().Foreigner(3)
		p.Nationality = code
		return must[*doc.Document](t)(world().Passport(p))
	}
}

// sameTrust has a folder with the document's own state alone.
func sameTrust(*testing.T, string) {}

// usual is the judge that trusts every state; it remembers what it has
// verified.
func usual(t *testing.T) *document.Judge {
	t.Helper()
	usualOnce.Do(func() {
		usualJudge = document.NewJudge(must[*document.Trust](t)(document.LoadTrust(trustFolder(t), slog.New(slog.DiscardHandler))))
	})
	return usualJudge
}

var (
	usualOnce  sync.Once
	usualJudge *document.Judge
)

// judge runs a visit without reader and process.
func (v visit) judge(t *testing.T) (*doc.Document, readOptions, *report) {
	t.Helper()
	d, o := v.make(t), v.opt
	switch {
	case o.can == "own":
		o.can = d.CAN()
	case o.mrz == "own" || o.can+o.mrz+o.qr == "" && d.Profile.CitizenNumber == "":
		o.mrz = d.MRZ()
	case o.can+o.mrz+o.qr == "":
		o.qr = d.QR()
	}
	if o.at == "" {
		o.at = day.Format(time.RFC3339)
	}
	judge := usual(t)
	if v.trust != nil {
		dir := t.TempDir()
		if err := world().WriteTrust(dir, d.Profile.State); err != nil {
			t.Fatal(err)
		}
		v.trust(t, dir)
		judge = document.NewJudge(must[*document.Trust](t)(document.LoadTrust(dir, slog.New(slog.DiscardHandler))))
	}
	if o.trust == "-" {
		judge = document.NewJudge(nil)
	}
	cfg := d.ChipConfig()
	if v.chip != nil {
		v.chip(&cfg)
	}
	card := chip.New(cfg)
	t.Cleanup(card.Close)
	scanned := must[gate.Scan](t)(o.scan(strings.NewReader("")))
	at := must[gate.TrustedTime](t)(o.time())
	return d, o, o.inspect(context.Background(), near{card}, judge.NewCase(at), scanned)
}

// Every document gets exactly the report that its flaw deserves.
func TestJudged(t *testing.T) {
	for _, v := range sampled(visits()) {
		t.Run(v.name, func(t *testing.T) {
			want := expect(t, v.want)
			d, o, rep := v.judge(t)
			want.compare(t, rep, o.requireCRL)
			var out bytes.Buffer
			if err := rep.print(&out, true); err != nil {
				t.Fatal(err)
			}
			quiet(t, out.String(), append(d.MRZLines(), d.Number(), d.Profile.Number, d.Person.Surname, strings.ToUpper(d.Person.Given),
				d.Person.Birth.Format(time.DateOnly), d.Profile.Expires.Format(time.DateOnly))...)
			var back map[string]json.RawMessage
			if err := json.Unmarshal(out.Bytes(), &back); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
				t.Errorf("not one JSON object on one line: %v", err)
			}
			var code exitCode
			if err := rep.exit(); err != nil && !errors.As(err, &code) {
				t.Errorf("exit %v", err)
			}
			wantCode := map[gate.Result]exitCode{gate.Successful: 0, gate.Failed: 2, gate.Undetermined: 3, gate.Aborted: 4}
			if code != wantCode[want.overall(o.requireCRL)] {
				t.Errorf("exit status %d", code)
			}
		})
	}
}
