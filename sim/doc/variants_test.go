package doc_test

import (
	"crypto"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// issuers are countries with the peculiarities of certificates that the
// field has, one each.
func issuers() map[string]doc.AuthorityConfig {
	ec := func(curve string, explicit bool, h crypto.Hash) doc.Algorithm {
		return doc.Algorithm{Curve: curve, Explicit: explicit, Hash: h}
	}
	p256 := ec("P-256", false, crypto.SHA256)
	rsa := func(a doc.Algorithm) doc.AuthorityConfig {
		a.RSA = 2048
		return doc.AuthorityConfig{CA: p256, Signer: a}
	}
	habits := func(h doc.CertHabits) doc.AuthorityConfig {
		return doc.AuthorityConfig{CA: p256, Signer: p256, Habits: h}
	}
	return map[string]doc.AuthorityConfig{
		"P-192 SHA-1":               {CA: ec("P-192", false, crypto.SHA1), Signer: ec("P-192", true, crypto.SHA1)},
		"P-224 SHA-224":             {CA: ec("P-224", true, crypto.SHA224), Signer: ec("P-224", false, crypto.SHA224)},
		"P-521 SHA-512":             {CA: ec("P-521", true, crypto.SHA512), Signer: ec("P-521", false, crypto.SHA512)},
		"brainpoolP320r1 SHA-384":   {CA: ec("brainpoolP320r1", true, crypto.SHA384), Signer: ec("brainpoolP320r1", true, crypto.SHA384)},
		"brainpoolP512r1 SHA-512":   {CA: ec("brainpoolP512r1", true, crypto.SHA512), Signer: ec("brainpoolP512r1", false, crypto.SHA512)},
		"PKCS 1 SHA-1, no NULL":     rsa(doc.Algorithm{Hash: crypto.SHA1, NoNull: true}),
		"PKCS 1 SHA-224":            rsa(doc.Algorithm{Hash: crypto.SHA224}),
		"PKCS 1 SHA-384, exponent":  rsa(doc.Algorithm{Hash: crypto.SHA384, Exponent: 3}),
		"PKCS 1 SHA-512":            rsa(doc.Algorithm{Hash: crypto.SHA512}),
		"PSS SHA-1, all defaults":   rsa(doc.Algorithm{Hash: crypto.SHA1, PSS: true}),
		"PSS SHA-256, no NULL":      rsa(doc.Algorithm{Hash: crypto.SHA256, PSS: true, NoNull: true}),
		"PSS SHA-256, short salt":   rsa(doc.Algorithm{Hash: crypto.SHA256, PSS: true, Salt: 20}),
		"PSS SHA-384, trailer":      rsa(doc.Algorithm{Hash: crypto.SHA384, PSS: true, Trailer: true}),
		"PSS SHA-512, key for PSS":  rsa(doc.Algorithm{Hash: crypto.SHA512, PSS: true, KeyPSS: true}),
		"RSA 4096":                  {CA: doc.Algorithm{RSA: 4096, Hash: crypto.SHA256}, Signer: p256},
		"negative serial":           habits(doc.CertHabits{NegativeSerial: true}),
		"no key identifiers":        habits(doc.CertHabits{NoKeyIDs: true}),
		"CSCA without constraints":  habits(doc.CertHabits{NoConstraints: true}),
		"names written differently": habits(doc.CertHabits{LooseNames: true}),
		"other generation":          {CA: p256, Signer: p256, Generation: 2},
	}
}

// Documents of issuers with all these peculiarities are found genuine.
func TestIssuerVariants(t *testing.T) {
	for name, cfg := range issuers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := doc.NewWorld(51)
			cfg.Country, cfg.Name = "UT", "CSCA of "+name
			must[*doc.State](t)(w.AddState("UTO", cfg))
			d := must[*doc.Document](t)(w.Passport(w.Foreigner(0), doc.PortraitSize(1500)))
			if got := bad(verdicts(judgeFor(t, w, "UTO"), d)); len(got) != 0 {
				t.Errorf("%v", got)
			}
		})
	}
}

// The security object in all its forms.
func TestSecurityObjectVariants(t *testing.T) {
	w := doc.NewWorld(52)
	j := judgeFor(t, w, "NLD", "UTO")
	for name, so := range map[string]doc.SecurityObject{
		"SHA-1": {Hash: crypto.SHA1}, "SHA-224": {Hash: crypto.SHA224}, "SHA-384, version 1": {Hash: crypto.SHA384, Version1: true},
		"SHA-512, by key": {Hash: crypto.SHA512, ByKeyID: true}, "plain RSA": {PlainRSA: true},
		"signing time": {SignedAt: time.Date(2024, 3, 1, 8, 0, 0, 0, time.UTC)}, "unsigned attribute": {Unsigned: true},
	} {
		for i := range 2 { // NLD and UTO: ECDSA and RSA
			d := must[*doc.Document](t)(w.Passport(w.Foreigner(3*i), doc.SODWith(so), doc.PortraitSize(1500)))
			if got := bad(verdicts(j, d)); len(got) != 0 {
				t.Errorf("%s, %s: %v", name, d.Person.Nationality, got)
			}
		}
	}
}

// Portraits and details in all their forms conform, and the picture comes
// out as it went in.
func TestContentVariants(t *testing.T) {
	w := doc.NewWorld(53)
	j := judgeFor(t, w, "NLD")
	for name, opts := range map[string][]doc.Option{
		"19794, JP2": {doc.Face(doc.ISO19794, doc.JP2)}, "19794, codestream": {doc.Face(doc.ISO19794, doc.BareJP2)},
		"39794, JPEG": {doc.Face(doc.ISO39794, doc.JPEG)}, "39794, JP2": {doc.Face(doc.ISO39794, doc.JP2)},
		"39794, codestream": {doc.Face(doc.ISO39794, doc.BareJP2)}, "two templates": {doc.Faces(2, false)},
		"three in a record": {doc.Faces(3, true)}, "39794, two": {doc.Face(doc.ISO39794, doc.JP2), doc.Faces(2, true)},
		"everything": {doc.Groups(5, 6, 7, 8, 9, 10, 13, 16), doc.FullDetails()},
	} {
		d := must[*doc.Document](t)(w.Passport(w.Foreigner(3), append(opts, doc.PortraitSize(4321))...))
		if got := bad(verdicts(j, d)); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
		c := j.NewCase(now())
		c.SecurityObject(d.File(chip.FileSOD))
		c.DataGroup(2, d.File(chip.FileDG(2)))
		p, ok := c.Portrait()
		format := "jpeg"
		if d.Profile.Image.JPEG2000 {
			format = "jp2"
		}
		if !ok || p.Bytes != 4321 || p.Format != format || p.Width != 413 || p.Height != 531 {
			t.Errorf("%s: %v, %d bytes of %s, %dx%d", name, ok, p.Bytes, p.Format, p.Width, p.Height)
		}
	}
}

// Forgeries that the judge must see without any chip.
func TestForgeries(t *testing.T) {
	const f, u = gate.Failed, gate.Undetermined
	w := doc.NewWorld(54)
	j := judgeFor(t, w, "NLD", "D")
	rsa := doc.ActiveAuthWith(doc.Algorithm{RSA: 1024, Hash: crypto.SHA1})
	for name, c := range map[string]struct {
		alter doc.Alteration
		want  map[gate.CheckID]gate.Result
	}{
		"foreign signer": {doc.ForeignSigner, map[gate.CheckID]gate.Result{"issuer": f}},
		"expired signer": {doc.ExpiredSigner, map[gate.CheckID]gate.Result{"ds.validity": f, "ds": f}},
		"DG14":           {doc.AlterDG14, map[gate.CheckID]gate.Result{"integrity.dg14": f}},
		"DG15":           {doc.AlterDG15, map[gate.CheckID]gate.Result{"integrity.dg15": f}},
	} {
		d := must[*doc.Document](t)(w.Passport(w.Foreigner(3), rsa, doc.With(c.alter)))
		if got := bad(verdicts(j, d)); !same(got, c.want) {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}

// A security object without signed attributes is malformed: RFC 5652 section
// 5.3 wants them for any content but plain data.
func TestNothingSigned(t *testing.T) {
	w := doc.NewWorld(56)
	d := must[*doc.Document](t)(w.Passport(w.Foreigner(3), doc.SODWith(doc.SecurityObject{NoSigned: true}), doc.PortraitSize(1500)))
	if got := verdicts(judgeFor(t, w, "NLD"), d)[gate.CheckSOD]; got.Result != gate.Failed {
		t.Errorf("%+v", got)
	}
}

// EF.CardSecurity is proven when it is genuine, and only then.
func TestCardSecurity(t *testing.T) {
	w := doc.NewWorld(55)
	j := judgeFor(t, w, "NLD", "D")
	cam := doc.PACEOffers(doc.PACE{Cipher: chip.AES256, Curve: "P-384", Mapping: chip.ChipAuthMapping})
	for a, want := range map[doc.Alteration]gate.Result{
		0: gate.Successful, doc.AlterCardSecurity: gate.Failed, doc.ForeignCardSecurity: gate.Failed,
		doc.UnknownIssuer: gate.Undetermined, doc.ForgeSigner: gate.Failed, doc.ExpiredSigner: gate.Failed, doc.RevokedSigner: gate.Failed,
	} {
		d := must[*doc.Document](t)(w.Passport(w.Foreigner(3), cam, doc.With(a)))
		c := j.NewCase(now())
		c.SecurityObject(d.File(chip.FileSOD))
		checks, infos := c.CardSecurity(d.ChipConfig().MasterFiles[chip.FileCardSecurity])
		if checks[0].Result != want || (infos != nil) != (want == gate.Successful) {
			t.Errorf("alteration %b: %+v, %d bytes", a, checks, len(infos))
		}
	}
}
