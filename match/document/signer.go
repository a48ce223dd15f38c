package document

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	"gateagent/gate"
	"gateagent/match/document/defect"
	"gateagent/match/document/pki"
)

// signed is one signer of a message and what came of it.
type signed struct {
	*pki.Signer
	cert              *pki.Certificate // nil where it is not at hand
	remarks           remarks
	replaced          bool // cert comes from a defect list
	digest, signature error
}

// pickSigner takes the first signer that verifies, else the first: a document
// may carry a second signature with an algorithm that is not known here.
func (t *Trust) pickSigner(sd *pki.SignedData) signed {
	var first signed
	for i, s := range sd.Signers {
		v := t.findSigner(s, sd)
		v.digest = s.CheckDigest(sd)
		if v.cert != nil {
			v.signature = s.CheckSignature(v.cert)
			if v.digest == nil && v.signature == nil {
				return v
			}
		}
		if i == 0 {
			first = v
		}
	}
	return first
}

// findSigner finds a signer's certificate: in the message, as ICAO 9303-10
// section 4.6.2 wants it, else in the trust folder; a defect list may name
// another one.
func (t *Trust) findSigner(s *pki.Signer, sd *pki.SignedData) signed {
	v := signed{Signer: s, cert: s.Certificate(sd.Certificates)}
	raws := sd.Unread
	if v.cert != nil {
		raws = [][]byte{v.cert.Raw}
	} else {
		v.cert = t.signers.find(s.ID)
	}
	v.remarks = t.remarksOn(s.ID, v.cert, raws...)
	if d := v.remarks.first(defect.Replaced); d != nil {
		v.cert, v.replaced = d.Replacement, true
	}
	if d := v.remarks.first(defect.WrongSigner); d != nil && v.cert == nil {
		if i := slices.IndexFunc(sd.Certificates, d.Signer.Names); i >= 0 {
			v.cert = sd.Certificates[i]
		} else {
			v.cert = t.signers.find(d.Signer)
		}
	}
	if d := v.remarks.first(defect.IssuingCountry); d != nil && v.cert != nil {
		c := *v.cert
		c.Issuer.Country, c.Subject.Country = d.Country, d.Country
		v.cert = &c
	}
	return v
}

// message is a signed message as it was judged by the rules of sod.hash and
// sod.signature; EF.CardSecurity is judged by the same.
type message struct {
	hash, signature gate.Check
	signer          *pki.Certificate  // nil where it is not at hand
	remarks         remarks           // what defect lists say of the signer
	replaced        bool              // the signer comes from a defect list
	value           [sha256.Size]byte // SHA-256 of the signature that counts
	// err says that the message contradicts itself: it is malformed whatever
	// the two checks came to. What kind of content it should be is the
	// caller's to compare.
	err error
}

func (t *Trust) judgeMessage(sd *pki.SignedData) message {
	picked := t.pickSigner(sd)
	m := message{
		hash: judgeDigest(picked), signature: judgeSignature(picked),
		signer: picked.cert, remarks: picked.remarks, replaced: picked.replaced,
		value: sha256.Sum256(picked.SignatureValue()),
	}
	switch {
	case errors.Is(picked.digest, pki.ErrContentType):
		m.err = picked.digest
	case picked.cert == nil && sd.CertErr != nil && m.remarks.first(defect.SignerMalformed) == nil:
		m.err = sd.CertErr
	}
	return m
}

func judgeDigest(s signed) gate.Check {
	const id = gate.CheckSODHash
	switch {
	case s.digest == nil:
		return check(id, gate.Successful, 0, s.Digest().String())
	case unsupported(s.digest):
		return check(id, gate.Undetermined, gate.CodeSODAlgorithm, s.digest.Error())
	case errors.Is(s.digest, pki.ErrSignature):
		return check(id, gate.Failed, gate.CodeSODDigest, s.Digest().String())
	}
	return check(id, gate.Undetermined, gate.CodeSODMalformed, s.digest.Error())
}

func judgeSignature(s signed) gate.Check {
	const id = gate.CheckSODSignature
	if s.cert == nil {
		return check(id, gate.Undetermined, gate.CodeSODNoSigner, "")
	}
	if unsupported(s.signature) {
		return check(id, gate.Undetermined, gate.CodeSODAlgorithm, s.signature.Error())
	}
	alg, _ := s.Algorithm()
	detail := alg.String() + " " + s.cert.Key.String()
	if s.signature != nil {
		return check(id, gate.Failed, gate.CodeSODSignature, detail)
	}
	return check(id, gate.Successful, 0, detail)
}

// judgeSigner gives the five checks of the signer of a message: ds.signature,
// ds.validity, ds.revocation, ds.trust and their roll-up ds. EF.CardSecurity
// is judged by the same. No certificate is Undetermined throughout.
func (t *Trust) judgeSigner(at gate.TrustedTime, m message) []gate.Check {
	s := signerCase{trust: t, at: at, cert: m.signer, remarks: m.remarks, replaced: m.replaced}
	err := errNoCSCA
	if m.signer != nil {
		s.issuer, err = t.issuerOf(m.signer, func(p *pki.Certificate) bool { return p.ValidAt(at.Now) })
	}
	var out []gate.Check
	switch {
	case m.signer == nil:
		out = s.unknown(gate.CodeSODNoSigner, "")
	case s.issuer == nil:
		out = s.unknown(gate.CodeNoCSCA, countryText(m.signer))
	default:
		out = []gate.Check{s.signature(err), s.validity(), s.revocation(), s.distrust()}
	}
	return append(out, rollUp(gate.CheckDS, out...))
}

// signerCase is one document signer with the CSCA that was found for it.
type signerCase struct {
	trust    *Trust
	at       gate.TrustedTime
	cert     *pki.Certificate
	issuer   *csca
	remarks  remarks
	replaced bool
}

// unknown gives the checks of a signer without certificate or CSCA. A defect
// list may name it all the same.
func (s *signerCase) unknown(code gate.Code, detail string) []gate.Check {
	out := make([]gate.Check, 0, 5)
	for _, id := range [...]gate.CheckID{gate.CheckDSSignature, gate.CheckDSValidity, gate.CheckDSRevocation, gate.CheckDSTrust} {
		out = append(out, check(id, gate.Undetermined, code, detail))
	}
	if c, ok := s.remarks.revocation(); ok {
		out[2] = c
	}
	return out
}

func (s *signerCase) signature(err error) gate.Check {
	const id = gate.CheckDSSignature
	switch {
	case unsupported(err):
		return check(id, gate.Undetermined, gate.CodeDSAlgorithm, err.Error())
	case err != nil && s.replaced: // the list's word is no CSCA's signature
		return check(id, gate.Undetermined, gate.CodeDefect, defect.Replaced.String())
	case err != nil:
		return check(id, gate.Failed, gate.CodeDSSignature, countryText(s.cert))
	case !maySign(s.cert, s.issuer.cert):
		return check(id, gate.Failed, gate.CodeDSUsage, countryText(s.cert))
	}
	return check(id, gate.Successful, 0, s.cert.Algorithm.String()+" CSCA "+countryText(s.issuer.cert))
}

// maySign says whether a certificate may sign documents (ICAO 9303-12 section
// 7.1.1, tables 5 and 6): its key usage allows signatures, it is not meant
// for master lists, and it names the country of its CSCA.
func maySign(ds, issuer *pki.Certificate) bool {
	return ds.KeyUsage.May(pki.UsageDigitalSignature) && !ds.Uses(pki.OIDMasterListSigner) &&
		sameCountry(ds.Subject, issuer.Subject)
}

func (s *signerCase) validity() gate.Check {
	const id = gate.CheckDSValidity
	until := "until " + s.cert.NotAfter.UTC().Format("2006-01-02")
	switch {
	case s.remarks.first(defect.ValidityPeriod) != nil:
		return check(id, gate.Undetermined, gate.CodeDefect, defect.ValidityPeriod.String())
	case !s.at.Trusted:
		return check(id, gate.Undetermined, gate.CodeClockUntrusted, "")
	case !s.cert.ValidAt(s.at.Now):
		return check(id, gate.Failed, gate.CodeDSExpired, until)
	case !s.issuer.cert.ValidAt(s.at.Now):
		return check(id, gate.Failed, gate.CodeCSCAExpired, "until "+s.issuer.cert.NotAfter.UTC().Format("2006-01-02"))
	}
	return check(id, gate.Successful, 0, until)
}

// countryText gives the country of a certificate for a detail. It is the
// signer's own text, so nothing but letters passes.
func countryText(cert *pki.Certificate) string {
	s := country(cert)
	if len(s) != 2 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "country ?"
	}
	return s
}

// country gives the two-letter country of a certificate in upper case.
func country(cert *pki.Certificate) string {
	if cert.Subject.Country != "" {
		return cert.Subject.Country
	}
	return cert.Issuer.Country
}
