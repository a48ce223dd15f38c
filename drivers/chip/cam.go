package chip

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"math/big"

	"gateagent/gate"
)

const stepCAM = "chip authentication mapping"

// mappingProof is what a run of PACE with the chip authentication mapping
// leaves behind (ICAO 9303-11 section 4.4.3.5).
type mappingProof struct {
	choice *paceChoice
	mapped []byte // the chip's public key of the mapping phase
	data   []byte // CA.IC as decrypted: a number as wide as the order
	err    error  // why there is none
}

var (
	errNoProof  = errors.New("the chip sends no chip authentication data")
	errBadProof = errors.New("malformed chip authentication data")
)

// open decrypts the chip authentication data: AES in CBC mode with the
// encrypted block of ones as IV, padded (sections 4.4.3.5.3 and 4.4.3.5.4).
func (p *mappingProof) open(sm *secure, encrypted []byte) {
	switch {
	case len(encrypted) == 0:
		p.err = errNoProof
		return
	case len(encrypted)%aes.BlockSize != 0:
		p.err = errBadProof
		return
	}
	iv := bytes.Repeat([]byte{0xFF}, aes.BlockSize)
	sm.enc.Encrypt(iv, iv)
	plain := make([]byte, len(encrypted))
	cipher.NewCBCDecrypter(sm.enc, iv).CryptBlocks(plain, encrypted)
	data, ok := unpad(plain, aes.BlockSize)
	if !ok || len(data) != (p.choice.domain.curve.N.BitLen()+7)/8 {
		p.err = errBadProof
		return
	}
	p.data = data
}

// verify proves that the owner of key made the mapping: CA.IC times key is
// the chip's public key of the mapping phase (section 4.4.3.5.2).
func (p *mappingProof) verify(key chipKey) bool {
	c := p.choice.domain.curve
	public, err := c.Unmarshal(key.public)
	ca := new(big.Int).SetBytes(p.data)
	if err != nil || ca.Sign() <= 0 || ca.Cmp(c.N) >= 0 {
		return false
	}
	mapped, err := c.Unmarshal(p.mapped)
	return err == nil && mapped.Equal(c.Mult(public, ca))
}

// ProveMapping judges the proof that came with the chip authentication
// mapping, with the key that cardSecurity states under the number of the
// domain parameters (section 9.2.1). A new access after it must bring a proof
// by the same key.
func (s *Session) ProveMapping(_ context.Context, cardSecurity []byte) (string, error) {
	p := s.cam
	if p == nil {
		return "", fault(gate.ChipNotOffered, gate.CodeProofNotOffered, stepCAM, 0, errors.New("PACE ran without the chip authentication mapping"))
	}
	key, err := mappingKey(cardSecurity, p.choice)
	if err != nil {
		return p.choice.String(), fault(gate.ChipAlgorithm, gate.CodeProofAlgorithm, stepCAM, 0, err)
	}
	if err := p.judge(key); err != nil {
		return p.choice.String(), err
	}
	s.caKey = key
	return p.choice.String(), nil
}

// judge holds the proof against the key; nil is a key that nothing states.
func (p *mappingProof) judge(key *chipKey) error {
	switch {
	case errors.Is(p.err, errNoProof):
		return fault(gate.ChipStatus, gate.CodeProofWithheld, stepCAM, 0, p.err)
	case p.err != nil:
		return fault(gate.ChipStatus, gate.CodeProofWrong, stepCAM, 0, p.err)
	case key == nil:
		return fault(gate.ChipStatus, gate.CodeProofWrong, stepCAM, 0, errors.New("EF.CardSecurity states no key for the domain parameters in use"))
	case !p.verify(*key):
		return fault(gate.ChipStatus, gate.CodeProofWrong, stepCAM, 0, nil)
	}
	return nil
}

// mappingKey finds the chip's key: that on the curve in use whose identifier
// is the number of the domain parameters. A key without identifier counts
// where it is the only one on the curve. Nil means that there is none.
func mappingKey(cardSecurity []byte, choice *paceChoice) (*chipKey, error) {
	all, err := readCAInfos(cardSecurity)
	if err != nil {
		return nil, err
	}
	var on []chipKey
	for _, k := range all.keys {
		if !k.domain.same(choice.domain) {
			continue
		}
		if k.id == choice.id {
			return &k, nil
		}
		on = append(on, k)
	}
	switch {
	case len(on) == 1 && on[0].id == noID:
		return &on[0], nil
	case all.count > len(all.keys):
		return nil, errCAUnknown
	}
	return nil, nil
}

// cardSecurity reads EF.CardSecurity, which proves the key of the mapping. It
// lies in the master file, where PACE leaves the chip: read at once it costs
// no selection of a folder, later it would cost two. Under the application
// the same identifiers mean EF.SOD, so a chip whose folder was another after
// all is told by the tag, and one that refuses is asked once more after the
// selection of the master file.
func (s *Session) cardSecurity(ctx context.Context) ([]byte, error) {
	inMaster := s.place.folder == folderMaster
	raw, err := s.ReadFile(ctx, gate.FileCardSecurity)
	if !inMaster || s.dead != nil || err == nil && (len(raw) == 0 || raw[0] != tagSOD) {
		return raw, err
	}
	s.place = place{}
	return s.ReadFile(ctx, gate.FileCardSecurity)
}

// tagSOD is the tag of EF.SOD (ICAO 9303-10 section 4.6.2).
const tagSOD = 0x77
