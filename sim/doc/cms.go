package doc

import (
	"crypto"
	"fmt"
	"time"

	"gateagent/internal/ber"
)

const (
	oidSignedData    = "1.2.840.113549.1.7.2"
	oidContentType   = "1.2.840.113549.1.9.3"
	oidMessageDigest = "1.2.840.113549.1.9.4"
	oidSecurityObj   = "2.23.136.1.1.1" // ICAO 9303-10 section 4.6.2
	oidMasterList    = "2.23.136.1.1.2" // ICAO 9303-12 section 9
	oidSigningTime   = "1.2.840.113549.1.9.5"
	oidNothing       = "2.25.1" // below {joint-iso-itu-t uuid}: means nothing to anybody
)

// SecurityObject says how EF.SOD is written (ICAO 9303-10 section 4.6.2).
// The zero value hashes with SHA-256, LDS version 0, signer by issuer and
// serial number.
type SecurityObject struct {
	Hash      crypto.Hash // of the data groups
	Version1  bool        // LDS security object version 1, with version info
	ByKeyID   bool        // signer named by subject key identifier
	PlainRSA  bool        // signature algorithm given as rsaEncryption
	NoSigner  bool        // without the signer's certificate
	NoSigned  bool        // no signed attributes: the signature is over the content itself
	SignedAt  time.Time   // with the time of signing as a signed attribute
	Unsigned  bool        // with an unsigned attribute that means nothing
	BadDigest bool        // the signed message digest is that of something else
	BadSign   bool        // the signature has one bit turned
}

// signedData builds a CMS ContentInfo (RFC 5652 section 5) with one signer.
func signedData(contentType string, content []byte, s *Signer, certs [][]byte, so SecurityObject) ([]byte, error) {
	hashAlg, err := s.key.alg.hashAlgorithm()
	if err != nil {
		return nil, err
	}
	info, err := signerInfo(contentType, content, s, so)
	if err != nil {
		return nil, err
	}
	parts := [][]byte{
		smallInt(3),
		set(hashAlg),
		seq(oid(contentType), ber.Make(0xA0, octets(content))),
	}
	if !so.NoSigner {
		all := set(append([][]byte{s.Certificate}, certs...)...)
		all[0] = 0xA0
		parts = append(parts, all)
	}
	parts = append(parts, set(info))
	return seq(oid(oidSignedData), ber.Make(0xA0, seq(parts...))), nil
}

func signerInfo(contentType string, content []byte, s *Signer, so SecurityObject) ([]byte, error) {
	hashAlg, err := s.key.alg.hashAlgorithm()
	if err != nil {
		return nil, err
	}
	attrs := signedAttributes(contentType, digest(s.key.alg.Hash, content), so)
	signed := attrs
	if so.NoSigned {
		signed = content
	}
	sig, err := s.key.sign(signed)
	if err != nil {
		return nil, err
	}
	if so.BadSign {
		sig[len(sig)-1] ^= 1
	}
	alg, err := s.key.signatureAlgorithm()
	if err != nil {
		return nil, err
	}
	if so.PlainRSA && s.key.n != nil && !s.key.alg.PSS {
		alg = s.key.alg.withNull(oidRSA)
	}
	version, sid := smallInt(1), seq(s.issuer, integer(s.Serial))
	if so.ByKeyID {
		version, sid = smallInt(3), ber.Make(0x80, s.key.keyID())
	}
	parts := [][]byte{version, sid, hashAlg}
	if !so.NoSigned {
		tagged := append([]byte(nil), attrs...)
		tagged[0] = 0xA0
		parts = append(parts, tagged)
	}
	parts = append(parts, alg, octets(sig))
	if so.Unsigned {
		parts = append(parts, ber.Make(0xA1, seq(oid(oidNothing), set(octets([]byte("simulated"))))))
	}
	return seq(parts...), nil
}

// signedAttributes are those of RFC 5652 section 11.
func signedAttributes(contentType string, sum []byte, so SecurityObject) []byte {
	if so.BadDigest {
		sum[0] ^= 1
	}
	list := [][]byte{
		seq(oid(oidContentType), set(oid(contentType))),
		seq(oid(oidMessageDigest), set(octets(sum))),
	}
	if !so.SignedAt.IsZero() {
		list = append(list, seq(oid(oidSigningTime), set(asn1Time(so.SignedAt))))
	}
	return set(list...)
}

// securityObject writes EF.SOD over the data groups by number.
func securityObject(groups map[int][]byte, s *Signer, so SecurityObject) ([]byte, error) {
	h := so.Hash
	if h == 0 {
		h = crypto.SHA256
	}
	alg, err := hashAlgorithm(h)
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for n := 1; n <= 16; n++ {
		if raw, ok := groups[n]; ok {
			list = append(list, seq(smallInt(n), octets(digest(h, raw))))
		}
	}
	version := 0
	parts := [][]byte{nil, alg, seq(list...)}
	if so.Version1 {
		version = 1
		parts = append(parts, seq(ber.Make(ber.PrintableString, []byte("0108")), ber.Make(ber.PrintableString, []byte("040000"))))
	}
	parts[0] = smallInt(version)
	cms, err := signedData(oidSecurityObj, seq(parts...), s, nil, so)
	if err != nil {
		return nil, fmt.Errorf("sim/doc: EF.SOD: %w", err)
	}
	return ber.Make(0x77, cms), nil
}
