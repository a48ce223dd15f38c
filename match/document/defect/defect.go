// Package defect reads defect lists (BSI TR-03129-2 version 1.4, chapter 7):
// signed errata that name document signers whose documents were made with a
// fault, or whose keys are not to be trusted. What a defect does to a result
// (BSI TR-03135-1 version 2.5, section 5.8.2) is for match/document to say;
// here the list is read and asked.
package defect

import (
	"bytes"
	"crypto"

	"gateagent/match/document/pki"
)

// Object identifiers of TR-03129-2 sections 7.1 and 7.2.
const (
	// OIDList is the content type of a defect list.
	OIDList = "0.4.0.127.0.7.3.1.5"
	// OIDSigner is the extended key usage of its signer
	// (id-electronicDefectListSigningKey).
	OIDSigner = "0.4.0.127.0.7.3.11.2.1.2"
)

// Kind is a kind of defect that has an effect here.
type Kind uint8

// Kinds (TR-03129-2 section 7.3). The zero value is a defect that is not
// known here.
const (
	Unknown              Kind = iota
	Revoked                   // id-CertRevoked, with Status
	Replaced                  // id-CertReplaced, with Replacement
	ChipAuthKeys              // id-ChipAuthKeyRevoked
	ActiveAuthKeys            // id-ActiveAuthKeyRevoked
	ProtocolFailure           // id-AuthenticationProtocolFailure, with Status
	ValidityPeriod            // id-ValidityPeriodIncorrect, with Status
	GroupsMalformed           // id-ePassportDGMalformed, with Groups
	ObjectInvalid             // id-SODInvalid, with Status
	COMDiffers                // id-COMSODDiscrepancy
	WrongSigner               // id-sodWrongSignerIdentifier, with Signer
	IssuingCountry            // id-IssuingCountryDefect, with Country
	CardSecurity              // id-CardSecurityMalformed
	ChipSecurity              // id-ChipSecurityMalformed
	PowerDown                 // id-PowerDownReq
	SignerMalformed           // id-DSMalformed, with Status
	UnknownDocumentFault      // anything else below id-DocumentDefect
)

// documentFaults is id-DocumentDefect: of an unknown defect below it TR-03129-2
// section 7.3.3 says that the chip's data should not be used.
const documentFaults = OIDList + ".4."

// kinds gives each defect's identifier below OIDList.
var kinds = map[string]Kind{
	OIDList + ".1.1": Revoked,
	OIDList + ".1.2": Replaced,
	OIDList + ".1.3": ChipAuthKeys,
	OIDList + ".1.4": ActiveAuthKeys,
	OIDList + ".1.5": ProtocolFailure,
	OIDList + ".1.6": ValidityPeriod,
	OIDList + ".2.1": GroupsMalformed,
	OIDList + ".2.2": ObjectInvalid,
	OIDList + ".2.3": COMDiffers,
	OIDList + ".2.4": WrongSigner,
	OIDList + ".2.5": IssuingCountry,
	OIDList + ".4.1": CardSecurity,
	OIDList + ".4.2": ChipSecurity,
	OIDList + ".4.3": PowerDown,
	OIDList + ".4.4": SignerMalformed,
}

// String names the kind for people.
func (k Kind) String() string {
	names := [...]string{
		"an unknown defect", "signer revoked", "signer's certificate replaced", "chip authentication keys compromised",
		"active authentication keys compromised", "chip proof known to fail", "validity period incorrect",
		"data groups malformed", "security object invalid", "EF.COM and security object differ",
		"wrong signer identifier", "wrong issuing country", "EF.CardSecurity malformed", "EF.ChipSecurity malformed",
		"power down required", "signer's certificate malformed", "an unknown defect of the document",
	}
	if int(k) < len(names) {
		return names[k]
	}
	return names[Unknown]
}

// Defect is one known defect (KnownDefect, KnownDefectV2). Which of the
// parameters is set follows from Kind.
type Defect struct {
	Kind        Kind
	OID         string
	Status      int              // NoStatus where there is none
	Replacement *pki.Certificate // not necessarily signed by its CSCA
	Groups      []int
	Signer      pki.SignerID
	Country     string
}

// NoStatus stands for an absent status code.
const NoStatus = -1

// Entry is what a list says of one certificate (Defect).
type Entry struct {
	Signer  pki.SignerID
	Hash    []byte // of the certificate; nil where the identifier is enough
	Defects []Defect
}

// List is the signed content of a defect list.
type List struct {
	Version int
	Hash    crypto.Hash // of Entry.Hash; 0 where it is not known here
	Entries []Entry
}

// Says gives what the list says of a certificate. raw is its encoding, nil
// where it is not at hand; id is how the document names it, with which alone a
// certificate that does not parse can be found.
func (l *List) Says(id pki.SignerID, cert *pki.Certificate, raw []byte) []Defect {
	var out []Defect
	for i := range l.Entries {
		if e := &l.Entries[i]; e.names(id, cert) && l.fits(e, raw) {
			out = append(out, e.Defects...)
		}
	}
	return out
}

func (e *Entry) names(id pki.SignerID, cert *pki.Certificate) bool {
	switch {
	case e.Signer.KeyID == nil && e.Signer.Serial == nil:
		return e.Hash != nil // the hash alone decides
	case cert != nil && e.Signer.Names(cert):
		return true
	}
	return e.Signer.Equal(id)
}

func (l *List) fits(e *Entry, raw []byte) bool {
	if e.Hash == nil {
		return true
	}
	return l.Hash != 0 && raw != nil && bytes.Equal(e.Hash, pki.Sum(l.Hash, raw))
}
