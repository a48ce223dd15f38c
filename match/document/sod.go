package document

import (
	"errors"
	"strings"

	"gateagent/gate"
	"gateagent/match/document/lds"
	"gateagent/match/document/pki"
)

func unsupported(err error) bool { return errors.Is(err, pki.ErrUnsupported) }

// SecurityObject judges EF.SOD and the document signer in it.
func (c *docCase) SecurityObject(raw []byte) []gate.Check {
	*c = docCase{at: c.at, trust: c.trust}
	hash, signature, err := c.openObject(raw)
	sod := rollUp(gate.CheckSOD, hash, signature)
	if err != nil { // empty or malformed, whatever its parts came to
		sod = check(gate.CheckSOD, gate.Failed, gate.CodeSODMalformed, err.Error())
	}
	c.sod = sod.Result
	checks := append([]gate.Check{hash, signature, sod}, c.judgeSigner()...)
	c.trusted = checks[3].Result
	return checks
}

// openObject reads EF.SOD and judges digest and signature. An error means that
// the object is malformed; parts that were judged before stay.
func (c *docCase) openObject(raw []byte) (hash, signature gate.Check, err error) {
	hash = check(gate.CheckSODHash, gate.Undetermined, gate.CodeSODMalformed, "")
	signature = check(gate.CheckSODSignature, gate.Undetermined, gate.CodeSODMalformed, "")
	der, err := lds.SignedObject(raw)
	if err != nil {
		return hash, signature, err
	}
	sd, err := pki.ParseSignedData(der)
	if err != nil {
		return hash, signature, err
	}
	picked := pickSigner(sd)
	c.signer = picked.cert
	hash, signature = judgeDigest(picked), judgeSignature(picked)
	switch {
	case errors.Is(picked.digest, pki.ErrContentType):
		return hash, signature, picked.digest
	case sd.ContentType != lds.OIDSecurityObject:
		return hash, signature, errors.New("the content is no security object")
	case c.signer == nil && sd.CertErr != nil:
		return hash, signature, sd.CertErr
	}
	c.object, err = lds.ParseSecurityObject(sd.Content)
	return hash, signature, err
}

// signed is one signer of the security object and what came of it.
type signed struct {
	*pki.Signer
	cert              *pki.Certificate // nil where it is not in the message
	digest, signature error
}

// pickSigner takes the first signer that verifies, else the first: a document
// may carry a second signature with an algorithm that is not known here.
func pickSigner(sd *pki.SignedData) signed {
	var first signed
	for i, s := range sd.Signers {
		v := signed{Signer: s, cert: s.Certificate(sd.Certificates), digest: s.CheckDigest(sd)}
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

// judgeSigner gives the five checks of the document signer.
func (c *docCase) judgeSigner() []gate.Check {
	ids := [...]gate.CheckID{gate.CheckDSSignature, gate.CheckDSValidity, gate.CheckDSRevocation, gate.CheckDSTrust}
	var out []gate.Check
	var issuer *pki.Certificate
	err := errNoCSCA
	if c.signer != nil {
		issuer, err = c.trust.issuerOf(c.signer, func(p *pki.Certificate) bool { return p.ValidAt(c.at.Now) })
	}
	switch {
	case c.signer == nil:
		for _, id := range ids {
			out = append(out, check(id, gate.Undetermined, gate.CodeSODNoSigner, ""))
		}
	case issuer == nil:
		for _, id := range ids {
			out = append(out, check(id, gate.Undetermined, gate.CodeNoCSCA, countryText(c.signer)))
		}
	default:
		out = append(out,
			c.signerSignature(issuer, err),
			c.signerValidity(issuer),
			c.signerRevocation(issuer),
			check(gate.CheckDSTrust, gate.Successful, 0, ""))
	}
	return append(out, rollUp(gate.CheckDS, out...))
}

// rollUp joins the parts of a group. The group carries the code of the first
// part that decides it.
func rollUp(id gate.CheckID, parts ...gate.Check) gate.Check {
	results := make([]gate.Result, len(parts))
	for i, p := range parts {
		results[i] = p.Result
	}
	all := check(id, gate.RollUp(results...), 0, "")
	for _, p := range parts {
		if p.Result == all.Result && all.Code == 0 {
			all.Code = p.Code
		}
	}
	return all
}

func (c *docCase) signerSignature(issuer *pki.Certificate, err error) gate.Check {
	const id = gate.CheckDSSignature
	switch {
	case unsupported(err):
		return check(id, gate.Undetermined, gate.CodeDSAlgorithm, err.Error())
	case err != nil:
		return check(id, gate.Failed, gate.CodeDSSignature, countryText(c.signer))
	case !maySign(c.signer, issuer):
		return check(id, gate.Failed, gate.CodeDSUsage, countryText(c.signer))
	}
	return check(id, gate.Successful, 0, c.signer.Algorithm.String()+" CSCA "+countryText(issuer))
}

// maySign says whether a certificate may sign documents (ICAO 9303-12 section
// 7.1.1, tables 5 and 6): its key usage allows signatures, it is not meant
// for master lists, and it names the country of its CSCA.
func maySign(ds, issuer *pki.Certificate) bool {
	return ds.KeyUsage.May(pki.UsageDigitalSignature) && !ds.Uses(pki.OIDMasterListSigner) &&
		sameCountry(ds.Subject, issuer.Subject)
}

func (c *docCase) signerValidity(issuer *pki.Certificate) gate.Check {
	const id = gate.CheckDSValidity
	until := "until " + c.signer.NotAfter.UTC().Format("2006-01-02")
	switch {
	case !c.at.Trusted:
		return check(id, gate.Undetermined, gate.CodeClockUntrusted, "")
	case !c.signer.ValidAt(c.at.Now):
		return check(id, gate.Failed, gate.CodeDSExpired, until)
	case !issuer.ValidAt(c.at.Now):
		return check(id, gate.Failed, gate.CodeCSCAExpired, "until "+issuer.NotAfter.UTC().Format("2006-01-02"))
	}
	return check(id, gate.Successful, 0, until)
}

// signerRevocation asks every proven list, whatever its age, for the signer;
// only the newest can say that it is not revoked.
func (c *docCase) signerRevocation(issuer *pki.Certificate) gate.Check {
	const id = gate.CheckDSRevocation
	var newest *pki.CRL
	for _, l := range c.trust.crlsFor(c.signer, issuer) {
		if l.Revokes(c.signer.Serial) {
			return check(id, gate.Failed, gate.CodeDSRevoked, "")
		}
		if !l.Partial && (newest == nil || l.ThisUpdate.After(newest.ThisUpdate)) {
			newest = l
		}
	}
	switch {
	case newest == nil:
		return check(id, gate.Undetermined, gate.CodeNoCRL, "")
	case !c.at.Trusted:
		return check(id, gate.Undetermined, gate.CodeClockUntrusted, "")
	case c.at.Now.After(newest.NextUpdate):
		return check(id, gate.Undetermined, gate.CodeCRLStale, "")
	}
	return check(id, gate.Successful, 0, "")
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
