package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"gateagent/gate"
	"gateagent/match/document/lds"
	"gateagent/match/document/pki"
)

// Candidate is a certificate that may have issued a document signer.
type Candidate struct {
	CertificateInfo
	By     string `json:"by"`     // how it was found: key, name
	Signed bool   `json:"signed"` // the signer's signature verifies under it
	Why    string `json:"why,omitempty"`
}

// Explanation says step by step what a document signer is worth.
type Explanation struct {
	Signer *CertificateInfo `json:"signer"` // nil where it is not at hand
	// KeyID is what the signer calls its issuer's key.
	Issuer     string       `json:"issuer"`
	KeyID      string       `json:"issuer_key_id"`
	Replaced   bool         `json:"replaced"` // a defect list gives another certificate
	Candidates []Candidate  `json:"candidates"`
	CRLs       []CRLInfo    `json:"crls"`    // those that speak for its issuer
	Defects    []string     `json:"defects"` // what defect lists say of it
	Checks     []gate.Check `json:"checks"`
}

// Trusted says whether the signer is trusted: signature, validity and trust,
// as the default profile asks; a revocation counts against it, a missing list
// does not.
func (e *Explanation) Trusted() bool {
	for _, c := range e.Checks {
		switch c.ID {
		case gate.CheckDS:
		case gate.CheckDSRevocation:
			if c.Result == gate.Failed {
				return false
			}
		default:
			if c.Result != gate.Successful {
				return false
			}
		}
	}
	return true
}

// Explain judges a document signer step by step: a certificate, an EF.SOD, or
// an EF.CardSecurity, in DER or PEM. An error means that it is none of these.
func (t *Trust) Explain(at gate.TrustedTime, b []byte) (*Explanation, error) {
	ders := unpack(b)
	if len(ders) == 0 || len(ders[0]) == 0 {
		return nil, errors.New("holds nothing")
	}
	der := ders[0]
	if c, err := pki.ParseCertificate(der); err == nil {
		id := pki.SignerID{Issuer: c.Issuer, Serial: c.Serial}
		return t.explain(at, message{signer: c, remarks: t.remarksOn(id, c, c.Raw)}, nil), nil
	}
	if der[0] == 0x77 {
		inner, err := lds.SignedObject(der)
		if err != nil {
			return nil, err
		}
		der = inner
	}
	sd, err := pki.ParseSignedData(der)
	if err != nil {
		return nil, errors.New("is no certificate, no EF.SOD and no EF.CardSecurity")
	}
	m := t.judgeMessage(sd)
	if m.err != nil {
		return nil, m.err
	}
	return t.explain(at, m, []gate.Check{m.hash, m.signature}), nil
}

func (t *Trust) explain(at gate.TrustedTime, m message, before []gate.Check) *Explanation {
	e := &Explanation{Replaced: m.replaced, Checks: append(before, t.judgeSigner(at, m)...)}
	for _, d := range m.remarks {
		e.Defects = append(e.Defects, d.Kind.String())
	}
	if m.signer == nil {
		return e
	}
	info := Describe(m.signer, at.Now)
	info.Role = "signer"
	e.Signer, e.Issuer, e.KeyID = &info, m.signer.Issuer.Common, hex.EncodeToString(m.signer.AuthorityKeyID)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.candidates(m.signer.Issuer, m.signer.AuthorityKeyID) {
		c := Candidate{CertificateInfo: t.describe(p, at.Now), By: "name"}
		if id := m.signer.AuthorityKeyID; len(id) > 0 && bytes.Equal(id, p.cert.KeyID()) {
			c.By = "key"
		}
		err := m.signer.CheckSignatureFrom(p.cert)
		if c.Signed = err == nil; err != nil {
			c.Why = err.Error()
		}
		e.Candidates = append(e.Candidates, c)
	}
	newest := t.newestCRLs()
	for _, l := range t.crls {
		if t.speaksFor(l.list, m.signer.Issuer) {
			e.CRLs = append(e.CRLs, t.describeCRL(l, at.Now, newest))
		}
	}
	return e
}

// Assess says what one certificate is worth under this trust: a CSCA is an
// anchor only if the folder holds it.
func (t *Trust) Assess(c *pki.Certificate, at time.Time) CertificateInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := sha256.Sum256(c.Raw)
	for _, held := range t.byName[c.Subject.Key] {
		if sha256.Sum256(held.cert.Raw) == sum {
			return t.describe(held, at)
		}
	}
	info := Describe(c, at)
	k := &csca{cert: c}
	switch {
	case c.KeyErr != nil:
		info.Role, info.Reason, info.Detail = "refused", reasonOf(c.KeyErr), c.KeyErr.Error()
	case mayIssue(c) && signsItself(c):
		info.Role, info.Reason = "refused", ReasonUnlisted
	case t.prove(k, map[*csca]bool{}):
		info.Role = "signer"
		if mayIssue(c) {
			info.Role = "link"
		}
	default:
		info.Role = "refused"
		info.Reason, info.Detail = t.why(c)
	}
	return info
}
