package document

import (
	"errors"
	"strings"

	"gateagent/gate"
	"gateagent/match/document/pki"
)

// signed is one signer of a message and what came of it.
type signed struct {
	*pki.Signer
	cert              *pki.Certificate // nil where it is not at hand
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

// judgeMessage judges a signed message by the rules of sod.hash and
// sod.signature; EF.CardSecurity is judged by the same. The signer is nil
// where its certificate is not at hand. The error says that the message
// contradicts itself: it is malformed whatever the two checks came to. What
// kind of content it should be is the caller's to compare.
func judgeMessage(sd *pki.SignedData) (hash, signature gate.Check, signer *pki.Certificate, err error) {
	picked := pickSigner(sd)
	hash, signature = judgeDigest(picked), judgeSignature(picked)
	switch {
	case errors.Is(picked.digest, pki.ErrContentType):
		err = picked.digest
	case picked.cert == nil && sd.CertErr != nil:
		err = sd.CertErr
	}
	return hash, signature, picked.cert, err
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

// judgeSigner gives the five checks of a document signer: ds.signature,
// ds.validity, ds.revocation, ds.trust and their roll-up ds. EF.CardSecurity
// is judged by the same; there the roll-up of signature, validity and trust
// is what its own check needs. No certificate is Undetermined throughout.
func (t *Trust) judgeSigner(at gate.TrustedTime, signer *pki.Certificate) []gate.Check {
	ids := [...]gate.CheckID{gate.CheckDSSignature, gate.CheckDSValidity, gate.CheckDSRevocation, gate.CheckDSTrust}
	s := signerCase{trust: t, at: at, cert: signer}
	err := errNoCSCA
	if signer != nil {
		s.issuer, err = t.issuerOf(signer, func(p *pki.Certificate) bool { return p.ValidAt(at.Now) })
	}
	var out []gate.Check
	switch {
	case signer == nil:
		for _, id := range ids {
			out = append(out, check(id, gate.Undetermined, gate.CodeSODNoSigner, ""))
		}
	case s.issuer == nil:
		for _, id := range ids {
			out = append(out, check(id, gate.Undetermined, gate.CodeNoCSCA, countryText(signer)))
		}
	default:
		out = append(out, s.signature(err), s.validity(), s.revocation(), check(gate.CheckDSTrust, gate.Successful, 0, ""))
	}
	return append(out, rollUp(gate.CheckDS, out...))
}

// signerCase is one document signer with the CSCA that was found for it.
type signerCase struct {
	trust        *Trust
	at           gate.TrustedTime
	cert, issuer *pki.Certificate
}

func (s *signerCase) signature(err error) gate.Check {
	const id = gate.CheckDSSignature
	switch {
	case unsupported(err):
		return check(id, gate.Undetermined, gate.CodeDSAlgorithm, err.Error())
	case err != nil:
		return check(id, gate.Failed, gate.CodeDSSignature, countryText(s.cert))
	case !maySign(s.cert, s.issuer):
		return check(id, gate.Failed, gate.CodeDSUsage, countryText(s.cert))
	}
	return check(id, gate.Successful, 0, s.cert.Algorithm.String()+" CSCA "+countryText(s.issuer))
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
	case !s.at.Trusted:
		return check(id, gate.Undetermined, gate.CodeClockUntrusted, "")
	case !s.cert.ValidAt(s.at.Now):
		return check(id, gate.Failed, gate.CodeDSExpired, until)
	case !s.issuer.ValidAt(s.at.Now):
		return check(id, gate.Failed, gate.CodeCSCAExpired, "until "+s.issuer.NotAfter.UTC().Format("2006-01-02"))
	}
	return check(id, gate.Successful, 0, until)
}

// revocation asks every proven list, whatever its age, for the signer;
// only the newest can say that it is not revoked.
func (s *signerCase) revocation() gate.Check {
	const id = gate.CheckDSRevocation
	var newest *pki.CRL
	for _, l := range s.trust.crlsFor(s.cert, s.issuer) {
		if l.Revokes(s.cert.Serial) {
			return check(id, gate.Failed, gate.CodeDSRevoked, "")
		}
		if !l.Partial && (newest == nil || l.ThisUpdate.After(newest.ThisUpdate)) {
			newest = l
		}
	}
	switch {
	case newest == nil:
		return check(id, gate.Undetermined, gate.CodeNoCRL, "")
	case !s.at.Trusted:
		return check(id, gate.Undetermined, gate.CodeClockUntrusted, "")
	case s.at.Now.After(newest.NextUpdate):
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
