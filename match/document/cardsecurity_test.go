package document

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ber"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// mapped makes a passport that proves its chip by the mapping of PACE.
func mapped(t testing.TB, state string, opts ...doc.Option) (d *doc.Document, cardSecurity []byte) {
	t.Helper()
	cam := doc.PACEOffers(
		doc.PACE{Cipher: chip.AES128, Curve: "brainpoolP256r1", Mapping: chip.ChipAuthMapping},
		doc.PACE{Cipher: chip.AES128, Curve: "brainpoolP256r1"})
	d = must[*doc.Document](t)(world().Passport(traveller(state), append([]doc.Option{cam}, opts...)...))
	return d, clone(d.ChipConfig().MasterFiles[chip.FileCardSecurity])
}

// bare gives a judge that trusts one state's CSCA and knows no other list.
func bare(t testing.TB, state string) *Judge {
	dir := t.TempDir()
	if err := world().WriteTrust(dir, state); err != nil {
		t.Fatal(err)
	}
	lists, _ := filepath.Glob(filepath.Join(dir, "*.crl"))
	if len(lists) == 0 {
		t.Fatal("no revocation list to remove")
	}
	for _, l := range lists {
		if err := os.Remove(l); err != nil {
			t.Fatal(err)
		}
	}
	return NewJudge(must[*Trust](t)(LoadTrust(dir, nil)))
}

func TestCardSecurity(t *testing.T) {
	all := trusting(t)
	form := func(so doc.SecurityObject) doc.Option { return func(f *doc.Profile) { f.CardSecurity = so } }
	noClock := now
	noClock.Trusted = false
	late := now
	late.Now = day(2099, 1, 1)
	for _, c := range []struct {
		name string
		j    *Judge
		at   gate.TrustedTime
		opt  doc.Option
		want string
	}{
		{"genuine", all, now, nil, "S"},
		{"no revocation list at hand", bare(t, "NLD"), now, nil, "S"},
		{"nobody trusted", NewJudge(nil), now, nil, "U/1401"},
		{"clock untrusted", all, noClock, nil, "U/1406"},
		{"expired", all, late, nil, "F/1404"},
		{"digest", all, now, form(doc.SecurityObject{BadDigest: true}), "F/1302"},
		{"signature", all, now, form(doc.SecurityObject{BadSign: true}), "F/1303"},
		{"no signer inside", all, now, form(doc.SecurityObject{NoSigner: true}), "U/1305"},
		{"signer by key", all, now, form(doc.SecurityObject{ByKeyID: true}), "S"},
		{"altered", all, now, doc.With(doc.AlterCardSecurity), "F/1302"},
		{"of another state", all, now, doc.With(doc.ForeignCardSecurity), "F/1601"},
		{"signer forged", all, now, doc.With(doc.ForgeSigner), "F/1402"},
		{"signer revoked", all, now, doc.With(doc.RevokedSigner), "F/1407"},
		{"issuer unknown", all, now, doc.With(doc.UnknownIssuer), "U/1401"},
	} {
		opts := []doc.Option{}
		if c.opt != nil {
			opts = append(opts, c.opt)
		}
		d, raw := mapped(t, "NLD", opts...)
		k := c.j.NewCase(c.at)
		k.SecurityObject(d.File(chip.FileSOD))
		checks, infos := k.CardSecurity(raw)
		r := report{}
		r.add(checks...)
		r.expect(t, "chip.card_security="+c.want)
		if t.Failed() {
			t.Fatal(c.name)
		}
		if (infos != nil) != (c.want == "S") {
			t.Errorf("%s: %d bytes of infos", c.name, len(infos))
		}
		if got, want := k.PromisesPACE(nil), c.want == "S"; got != want {
			t.Errorf("%s: promises PACE: %v", c.name, got)
		}
	}
}

// A signature is for one kind of content and for one country.
func TestCardSecurityConfused(t *testing.T) {
	all := trusting(t)
	d, raw := mapped(t, "NLD")
	_, french := mapped(t, "FRA")
	sod := must[ber.TLV](t)(ber.One(d.File(chip.FileSOD)))
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"nothing": {nil, "F/1301"}, "empty": {[]byte{0x30, 0}, "F/1301"}, "noise": {[]byte("noise"), "F/1301"}, "cut": {raw[:len(raw)-1], "F/1301"},
		"EF.SOD": {d.File(chip.FileSOD), "F/1301"}, "security object": {sod.Value, "F/1301"}, "another passport's": {french, "F/1601"},
		"EF.CardAccess": {d.CardAccess(), "F/1301"}, "with a byte more": {append(clone(raw), 0), "F/1301"},
	} {
		k := all.NewCase(now)
		k.SecurityObject(d.File(chip.FileSOD))
		checks, infos := k.CardSecurity(c.raw)
		r := report{}
		r.add(checks...)
		r.expect(t, "chip.card_security="+c.want)
		if t.Failed() || infos != nil {
			t.Fatal(name)
		}
	}
	k := all.NewCase(now)
	if checks, infos := k.CardSecurity(raw); checks[0].Result != gate.Undetermined || infos != nil {
		t.Errorf("before the security object: %v", checks)
	}
}

// Whatever byte is turned: what is proven is what was signed.
func TestCardSecurityTurned(t *testing.T) {
	all := trusting(t, "NLD")
	d, raw := mapped(t, "NLD")
	k := all.NewCase(now)
	k.SecurityObject(d.File(chip.FileSOD))
	_, genuine := k.CardSecurity(raw)
	if genuine = clone(genuine); len(genuine) == 0 {
		t.Fatal("not genuine")
	}
	for at := 0; at < len(raw); at += 13 {
		turned := clone(raw)
		turned[at] ^= 0x11
		checks, infos := k.CardSecurity(turned)
		if (checks[0].Result == gate.Successful) != (infos != nil) || infos != nil && !bytes.Equal(infos, genuine) {
			t.Fatalf("byte %d turned: %v", at, checks)
		}
		if infos == nil && k.PromisesPACE(nil) {
			t.Fatalf("byte %d turned: the file before still promises", at)
		}
	}
}

// Proven infos are those of the file, EF.CardAccess against them tells a
// downgrade, and nothing personal is in the detail.
func TestCardSecurityPromises(t *testing.T) {
	d, raw := mapped(t, "NLD")
	k := trusting(t, "NLD").NewCase(now)
	k.SecurityObject(d.File(chip.FileSOD))
	checks, infos := k.CardSecurity(raw)
	if checks[0].ID != gate.CheckCardSecurity || strings.TrimSpace(checks[0].Detail) == "" {
		t.Errorf("%v", checks)
	}
	if set, err := ber.One(infos); err != nil || set.Tag != ber.Set {
		t.Errorf("infos: %v", err)
	}
	if k.PromisesPACE(d.CardAccess()) {
		t.Error("a downgrade where there is none")
	}
	all := must[ber.TLV](t)(ber.One(d.CardAccess()))
	parts := must[[]ber.TLV](t)(ber.Children(all.Value))
	if len(parts) < 2 {
		t.Fatalf("%d entries in EF.CardAccess", len(parts))
	}
	for i := range parts {
		var rest [][]byte
		for j, p := range parts {
			if j != i {
				rest = append(rest, p.Raw)
			}
		}
		if !k.PromisesPACE(ber.Make(ber.Set, rest...)) {
			t.Errorf("entry %d is hidden unnoticed", i)
		}
	}
	k.Wipe()
	if k.PromisesPACE(nil) {
		t.Error("a promise survived Wipe")
	}
}

// A state whose EF.CardSecurity is known to be malformed accuses nobody by it;
// one that is altered is found out as ever.
func TestCardSecurityDefect(t *testing.T) {
	known := doc.Defect{Signer: signerOf(t, "NLD"), Known: []doc.KnownDefect{{OID: doc.DefectCardSecurity}}}
	j := knowing(t, listing(t, 1, known))
	d, raw := mapped(t, "NLD")
	_, altered := mapped(t, "NLD", doc.With(doc.AlterCardSecurity))
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{"genuine": {raw, "S"}, "malformed": {raw[:len(raw)-2], "U/1412"}, "altered": {altered, "F/1302"}} {
		k := j.NewCase(now)
		k.SecurityObject(d.File(chip.FileSOD))
		checks, infos := k.CardSecurity(c.raw)
		r := report{}
		r.add(checks...)
		r.expect(t, "chip.card_security="+c.want)
		if t.Failed() || (infos != nil) != (c.want == "S") {
			t.Fatal(name)
		}
	}
}
