package doc

import (
	"crypto"
	"fmt"

	"gateagent/internal/ber"
)

const (
	oidSignedData    = "1.2.840.113549.1.7.2"
	oidContentType   = "1.2.840.113549.1.9.3"
	oidMessageDigest = "1.2.840.113549.1.9.4"
	oidSecurityObj   = "2.23.136.1.1.1" // ICAO 9303-10 section 4.6.2
	oidMasterList    = "2.23.136.1.1.2" // ICAO 9303-12 section 9
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
	BadDigest bool        // the signed message digest is that of something else
	BadSign   bool        // the signature has one bit turned
}

// signedData builds a CMS ContentInfo (RFC 5652 section 5) with one signer.
func signedData(contentType string, content []byte, s *Signer, certs [][]byte, so SecurityObject) ([]byte, error) {
	hashAlg, err := hashAlgorithm(s.key.alg.Hash)
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
	h := s.key.alg.Hash
	hashAlg, err := hashAlgorithm(h)
	if err != nil {
		return nil, err
	}
	sum := digest(h, content)
	if so.BadDigest {
		sum[0] ^= 1
	}
	attrs := set(
		seq(oid(oidContentType), set(oid(contentType))),
		seq(oid(oidMessageDigest), set(octets(sum))),
	)
	sig, err := s.key.sign(attrs)
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
		alg = seq(oid(oidRSA), null())
	}
	version, sid := smallInt(1), seq(s.issuer, integer(s.Serial))
	if so.ByKeyID {
		version, sid = smallInt(3), ber.Make(0x80, s.key.keyID())
	}
	signed := append([]byte(nil), attrs...)
	signed[0] = 0xA0
	return seq(version, sid, hashAlg, signed, alg, octets(sig)), nil
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

// MasterList signs a CSCA master list (ICAO 9303-12 section 9) of the given
// certificates by a signer under the authority.
func (a *Authority) MasterList(certs ...[]byte) ([]byte, error) {
	s, err := a.NewSigner("Master list signer", a.Config.From, a.Config.Until)
	if err != nil {
		return nil, err
	}
	content := seq(smallInt(0), set(certs...))
	return signedData(oidMasterList, content, s, [][]byte{a.Certificate}, SecurityObject{})
}
