package document

import (
	"crypto"
	"math/big"
	"testing"
	"time"

	"gateagent/match/document/pki"
	"gateagent/sim/doc"
)

// Certificates as states issue them, each against the profile in its own way,
// are judged like any other; the same with one bit turned is not.
func TestPeculiarCertificates(t *testing.T) {
	ec := func(curve string, explicit bool, h crypto.Hash) doc.Algorithm {
		return doc.Algorithm{Curve: curve, Explicit: explicit, Hash: h}
	}
	p256 := ec("P-256", false, crypto.SHA256)
	for name, cfg := range map[string]doc.AuthorityConfig{
		"plain":                      {CA: p256, Signer: p256},
		"explicit P-521":             {CA: ec("P-521", true, crypto.SHA512), Signer: p256},
		"explicit brainpool":         {CA: ec("brainpoolP320r1", true, crypto.SHA384), Signer: ec("brainpoolP224r1", true, crypto.SHA224)},
		"brainpool":                  {CA: ec("brainpoolP512r1", false, crypto.SHA512), Signer: ec("brainpoolP192r1", false, crypto.SHA1)},
		"RSA without NULL":           {CA: doc.Algorithm{RSA: 1024, Hash: crypto.SHA256, NoNull: true}, Signer: doc.Algorithm{RSA: 1024, Hash: crypto.SHA1, NoNull: true}},
		"RSA exponent 3":             {CA: doc.Algorithm{RSA: 1024, Hash: crypto.SHA256, Exponent: 3}, Signer: p256},
		"PSS":                        {CA: doc.Algorithm{RSA: 1024, PSS: true, Hash: crypto.SHA256}, Signer: doc.Algorithm{RSA: 1024, PSS: true, Hash: crypto.SHA384, NoNull: true}},
		"PSS by default":             {CA: doc.Algorithm{RSA: 1024, PSS: true, Hash: crypto.SHA1, Salt: 20}, Signer: p256},
		"PSS odd salt":               {CA: doc.Algorithm{RSA: 1024, PSS: true, Hash: crypto.SHA256, Salt: 17, Trailer: true}, Signer: p256},
		"PSS key":                    {CA: doc.Algorithm{RSA: 1280, PSS: true, KeyPSS: true, Hash: crypto.SHA512}, Signer: p256},
		"negative serial number":     {CA: p256, Signer: p256, Habits: doc.CertHabits{NegativeSerial: true}},
		"no key identifiers":         {CA: p256, Signer: p256, Habits: doc.CertHabits{NoKeyIDs: true}},
		"no basic constraints":       {CA: p256, Signer: p256, Habits: doc.CertHabits{NoConstraints: true}},
		"basic constraints say no":   {CA: p256, Signer: p256, Habits: doc.CertHabits{NotCA: true}},
		"issuer's name written else": {CA: p256, Signer: p256, Habits: doc.CertHabits{LooseNames: true}},
		"all at once":                {CA: ec("P-384", true, crypto.SHA384), Signer: doc.Algorithm{RSA: 1024, PSS: true, Hash: crypto.SHA256, NoNull: true, Salt: 5}, Habits: doc.CertHabits{NegativeSerial: true, NoKeyIDs: true, NotCA: true, LooseNames: true}},
	} {
		cfg.Country, cfg.Name = "UT", "CSCA "+name
		a := must[*doc.Authority](t)(doc.NewAuthority(71, cfg))
		s := must[*doc.Signer](t)(a.NewSigner("Document signer", time.Time{}, time.Time{}))
		list := func(serials ...*big.Int) []byte {
			return must[[]byte](t)(a.CRL(day(2026, 6, 1), day(2026, 7, 1), 1, serials...))
		}
		spoilt := clone(s.Certificate)
		spoilt[len(spoilt)-3] ^= 4
		forged := must[*doc.Signer](t)(a.ForgeSigner("Document signer")).Certificate
		for _, c := range []struct {
			cert, crl []byte
			want      string
		}{
			{s.Certificate, list(), "ds.signature=S ds.validity=S ds.revocation=S ds.trust=S ds=S"},
			{s.Certificate, list(s.Serial), "ds.signature=S ds.revocation=F/1407"},
			{s.Certificate, list(new(big.Int).Add(s.Serial, big.NewInt(1))), "ds.revocation=S"},
			{spoilt, list(), "ds.signature=F/1402"},
			{forged, list(), "ds.signature=F/1402"},
		} {
			trust, log := load(t, map[string][]byte{"a.cer": a.Certificate, "a.crl": c.crl})
			r := report{}
			r.add(trust.judgeSigner(now, message{signer: must[*pki.Certificate](t)(pki.ParseCertificate(c.cert))})...)
			r.expect(t, c.want)
			if t.Failed() || log.count() != 0 {
				t.Fatal(name, log)
			}
		}
	}
}
