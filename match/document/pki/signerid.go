package pki

import (
	"bytes"
	"errors"
	"fmt"

	"gateagent/internal/ber"
)

// SignerID names a certificate (SignerIdentifier, RFC 5652 section 5.3): by
// its issuer and serial number, or by the identifier of its key.
type SignerID struct {
	Issuer Name
	Serial []byte // content of the INTEGER without leading zeros
	KeyID  []byte // where it is not nil, it alone counts
}

// ParseSignerID reads one SignerIdentifier element.
func ParseSignerID(der []byte) (SignerID, error) {
	t, err := ber.One(der)
	if err != nil {
		return SignerID{}, fmt.Errorf("signer identifier: %w", err)
	}
	return parseSignerID(t)
}

func parseSignerID(t ber.TLV) (SignerID, error) {
	switch t.Tag {
	case ber.Sequence:
		r := &reader{rest: t.Value}
		issuer, serial := r.expect(ber.Sequence), r.expect(ber.Integer)
		if r.err != nil {
			return SignerID{}, r.err
		}
		name, err := parseName(issuer.Raw)
		return SignerID{Issuer: name, Serial: trimSerial(serial.Value)}, err
	case 0x80:
		if t.Value == nil {
			return SignerID{}, errors.New("empty signer identifier")
		}
		return SignerID{KeyID: t.Value}, nil
	}
	return SignerID{}, errors.New("unknown kind of signer identifier")
}

// Names says whether the identifier names this certificate.
func (id SignerID) Names(c *Certificate) bool {
	if id.KeyID != nil {
		return c.HasKeyID(id.KeyID)
	}
	return bytes.Equal(c.Serial, id.Serial) && c.Issuer.Key == id.Issuer.Key
}

// Equal says whether two identifiers are written alike.
func (id SignerID) Equal(other SignerID) bool {
	return (id.KeyID == nil) == (other.KeyID == nil) && bytes.Equal(id.KeyID, other.KeyID) &&
		bytes.Equal(id.Serial, other.Serial) && id.Issuer.Key == other.Issuer.Key
}
