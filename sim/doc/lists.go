package doc

import (
	"crypto"
	"fmt"
	"math/big"
	"time"

	"gateagent/internal/ber"
)

// CRL issues the authority's revocation list (ICAO 9303-12 section 7.1.4),
// listing the given serial numbers. It is current or stale by its times.
func (a *Authority) CRL(this, next time.Time, number int, revoked ...*big.Int) ([]byte, error) {
	return a.crl(a.key, this, next, number, revoked)
}

// ForgeCRL makes a list in the authority's name that the authority never
// signed.
func (a *Authority) ForgeCRL(this, next time.Time, number int, revoked ...*big.Int) ([]byte, error) {
	by, err := a.forger()
	if err != nil {
		return nil, err
	}
	return a.crl(by, this, next, number, revoked)
}

func (a *Authority) crl(by *key, this, next time.Time, number int, revoked []*big.Int) ([]byte, error) {
	alg, err := by.signatureAlgorithm()
	if err != nil {
		return nil, err
	}
	parts := [][]byte{smallInt(1), alg, a.name, asn1Time(this), asn1Time(next)}
	var entries [][]byte
	for _, serial := range revoked {
		entries = append(entries, seq(integer(serial), asn1Time(this)))
	}
	if len(entries) > 0 {
		parts = append(parts, seq(entries...))
	}
	parts = append(parts, ber.Make(0xA0, seq(
		extension("2.5.29.35", false, seq(ber.Make(0x80, a.key.keyID()))),
		extension("2.5.29.20", false, smallInt(number)),
	)))
	return by.signedStructure(seq(parts...))
}

// MasterList signs a CSCA master list (ICAO 9303-12 section 9) of the given
// certificates by a signer under the authority.
func (a *Authority) MasterList(certs ...[]byte) ([]byte, error) {
	s, err := a.NewListSigner("Master list signer", MasterListUsage)
	if err != nil {
		return nil, err
	}
	return a.MasterListBy(s, SecurityObject{}, certs...)
}

// MasterListBy signs a master list by the given signer, who need not be fit
// for it; the authority's own certificate goes along.
func (a *Authority) MasterListBy(s *Signer, so SecurityObject, certs ...[]byte) ([]byte, error) {
	content := seq(smallInt(0), set(certs...))
	return signedData(oidMasterList, content, s, [][]byte{a.Certificate}, so)
}

// Defect is one entry of a defect list: a signer and what is known of it
// (BSI TR-03129-2 section 7.1).
type Defect struct {
	Signer  *Signer
	ByKeyID bool // the signer is named by its subject key identifier
	ByHash  bool // the hash of its certificate stands there as well
	Known   []KnownDefect
}

// KnownDefect is one kind of defect, with its parameter where it has one.
type KnownDefect struct {
	OID       string
	Parameter []byte // encoded; nil: none
}

// oidDefectList is id-DefectList (BSI TR-03129-2 section 7.1).
const oidDefectList = "0.4.0.127.0.7.3.1.5"

// Kinds of defects (BSI TR-03129-2 section 7.3).
const (
	DefectCertRevoked       = oidDefectList + ".1.1" // parameter: status, enumerated
	DefectCertReplaced      = oidDefectList + ".1.2" // parameter: the replacement
	DefectChipAuthRevoked   = oidDefectList + ".1.3"
	DefectActiveAuthRevoked = oidDefectList + ".1.4"
	DefectProtocolFailure   = oidDefectList + ".1.5" // parameter: which protocols, enumerated
	DefectValidityIncorrect = oidDefectList + ".1.6" // parameter: whose, enumerated
	DefectDGMalformed       = oidDefectList + ".2.1" // parameter: set of numbers
	DefectSODInvalid        = oidDefectList + ".2.2" // parameter: how, enumerated; optional
	DefectCOMDiscrepancy    = oidDefectList + ".2.3"
	DefectIssuingCountry    = oidDefectList + ".2.5" // parameter: the right country
	DefectCardSecurity      = oidDefectList + ".4.1" // parameter: the corrected object
	DefectDSMalformed       = oidDefectList + ".4.4" // parameter: how, enumerated
)

const enumerated = 0x0A

// WithStatus is a defect whose parameter is an enumerated value.
func WithStatus(id string, v byte) KnownDefect {
	return KnownDefect{id, ber.Make(enumerated, []byte{v})}
}

// Replaced is a malformed signer with the certificate to take instead.
func Replaced(certificate []byte) KnownDefect {
	return KnownDefect{DefectCertReplaced, octets(certificate)}
}

// Malformed names data groups that are wrongly encoded.
func Malformed(groups ...int) KnownDefect {
	var list [][]byte
	for _, n := range groups {
		list = append(list, smallInt(n))
	}
	return KnownDefect{DefectDGMalformed, set(list...)}
}

// DefectList signs a defect list of the given version, 1 or 2 (BSI TR-03129-2
// sections 7.1 and 7.2; version 1 is written as 0 and version 2 as 1).
func (a *Authority) DefectList(s *Signer, version int, so SecurityObject, defects ...Defect) ([]byte, error) {
	const sha256 = "2.16.840.1.101.3.4.2.1"
	var list [][]byte
	for _, d := range defects {
		list = append(list, d.encode(version))
	}
	content := seq(smallInt(version-1), oid(sha256), set(list...))
	raw, err := signedData(oidDefectList, content, s, [][]byte{a.Certificate}, so)
	if err != nil {
		return nil, fmt.Errorf("sim/doc: defect list: %w", err)
	}
	return raw, nil
}

func (d Defect) encode(version int) []byte {
	parts := [][]byte{seq(d.Signer.issuer, integer(d.Signer.Serial))}
	if d.ByKeyID {
		parts[0] = ber.Make(0x80, d.Signer.key.keyID())
	}
	if d.ByHash {
		parts = append(parts, octets(digest(crypto.SHA256, d.Signer.Certificate)))
	}
	var known [][]byte
	for _, k := range d.Known {
		one := [][]byte{oid(k.OID)}
		switch {
		case k.Parameter == nil:
		case version == 2: // explicitly tagged: the type behind it is open
			one = append(one, ber.Make(0xA0, k.Parameter))
		default:
			one = append(one, k.Parameter)
		}
		entry := seq(one...)
		if version == 2 {
			entry[0] = 0xA0
		}
		known = append(known, entry)
	}
	parts = append(parts, set(known...))
	if version == 2 {
		parts = append(parts, ber.Make(ber.UTF8String, []byte("simulated defect")))
	}
	return seq(parts...)
}
