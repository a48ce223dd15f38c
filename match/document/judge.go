package document

import (
	"bytes"
	"crypto/sha256"
	"sync/atomic"
	"time"

	"gateagent/gate"
	"gateagent/gate/mrz"
	"gateagent/match/document/defect"
	"gateagent/match/document/lds"
	"gateagent/match/document/pki"
)

// Judge opens cases by one set of trusted certificates, which Follow may
// exchange.
type Judge struct {
	trust   atomic.Pointer[Trust]
	problem atomic.Pointer[string]
}

// NewJudge makes a judge. Without trust every signer is unknown to it.
func NewJudge(trust *Trust) *Judge {
	if trust == nil {
		trust = &Trust{}
	}
	j := &Judge{}
	j.trust.Store(trust)
	return j
}

// Use takes other trust into force. Cases that are open keep the trust they
// began with.
func (j *Judge) Use(trust *Trust) {
	if trust != nil {
		j.trust.Store(trust)
	}
}

// NewCase opens a case on one document.
func (j *Judge) NewCase(at gate.TrustedTime) gate.Case {
	if at.Zone == nil {
		at.Zone = time.UTC
	}
	return &docCase{trust: j.trust.Load(), at: at}
}

// docCase judges one document. Every zero value means: not proven.
type docCase struct {
	trust *Trust
	at    gate.TrustedTime

	sod     gate.Result // of the check sod
	trusted gate.Result // of the check ds.signature
	object  *lds.SecurityObject
	value   [sha256.Size]byte // of the object's signature
	signer  *pki.Certificate
	remarks remarks // what defect lists say of the signer

	mrz       *mrz.Document
	infos     *lds.SecurityInfos // of DG14
	cardInfos *lds.SecurityInfos // of EF.CardSecurity, only when that is proven
	aaKey     *pki.PublicKey
	aaErr     error // why the key of DG15 cannot be used
	portrait  *gate.Portrait
	national  *gate.National

	held [][]byte // the files that the above alias
}

func check(id gate.CheckID, r gate.Result, code gate.Code, detail string) gate.Check {
	return gate.Check{ID: id, Result: r, Code: code, Detail: detail}
}

// Lists says whether the security object lists data group n.
func (c *docCase) Lists(n int) bool { return c.object != nil && c.object.Hashes[n] != nil }

// proven says whether bytes whose hash is right are proven.
func (c *docCase) proven() bool { return c.sod == gate.Successful }

// DataGroup judges the bytes of data group n as they were read.
func (c *docCase) DataGroup(n int, raw []byte) gate.Check {
	id := gate.CheckDG(n)
	if c.object == nil {
		return check(id, gate.Undetermined, gate.CodeDGNeeded, "no security object to compare with")
	}
	want := c.object.Hashes[n]
	switch {
	case want == nil:
		return check(id, gate.Failed, gate.CodeDGNotListed, "")
	case c.object.HashErr != nil:
		return check(id, gate.Undetermined, gate.CodeDGHashAlgorithm, c.object.HashErr.Error())
	case !bytes.Equal(want, pki.Sum(c.object.Hash, raw)):
		return check(id, gate.Failed, gate.CodeDGHash, "")
	}
	c.held = append(c.held, raw)
	detail := c.object.Hash.String()
	if c.sod == gate.Failed { // the hash proves nothing, so nothing is looked into
		return check(id, gate.Successful, 0, detail)
	}
	if err := c.take(n, raw); err != nil {
		return check(id, gate.Undetermined, gate.CodeDGContent, err.Error())
	}
	return check(id, gate.Successful, 0, detail)
}

// take keeps what a data group says. An error means that the content does not
// conform; then nothing of it is kept.
func (c *docCase) take(n int, raw []byte) (err error) {
	switch n {
	case 1:
		c.mrz, err = lds.ParseMRZ(raw)
	case 2:
		c.portrait, err = portrait(raw)
	case 13: // national by definition: unknown content is no fault
		if nat, err := lds.ParseNational(raw); err == nil {
			c.national = (*gate.National)(nat)
		}
	case 14:
		c.infos, err = lds.ParseDG14(raw)
	case 15:
		if c.aaKey, err = lds.ParseDG15(raw); unsupported(err) {
			c.aaErr, err = err, nil
		}
	default:
		return lds.CheckGroup(n, raw)
	}
	return err
}

func portrait(raw []byte) (*gate.Portrait, error) {
	img, err := lds.ParseFace(raw)
	if err != nil {
		return nil, err
	}
	return &gate.Portrait{
		Format: img.Format, Bytes: len(img.Data), Width: img.Width, Height: img.Height,
		Image: gate.Secret(img.Data),
	}, nil
}

// COM judges EF.COM: it must list the same groups as the security object
// (ICAO 9303-10 section 4.6.1). Version numbers are not compared: issuers
// write 0107 beside security objects that say 0108.
func (c *docCase) COM(raw []byte) gate.Check {
	if c.object == nil {
		return check(gate.CheckIntegrityCOM, gate.NotSupported, gate.CodeDGNeeded, "no security object to compare with")
	}
	com, err := lds.ParseCOM(raw)
	if err != nil {
		return check(gate.CheckIntegrityCOM, gate.Failed, gate.CodeCOMMismatch, err.Error())
	}
	same := len(com.Groups) == len(c.object.Hashes)
	for n := range com.Groups {
		same = same && c.Lists(n)
	}
	switch {
	case !same && c.remarks.first(defect.COMDiffers) != nil: // the state's own fault; U is no result of this check
		return check(gate.CheckIntegrityCOM, gate.NotSupported, gate.CodeDefect, defect.COMDiffers.String())
	case !same:
		return check(gate.CheckIntegrityCOM, gate.Failed, gate.CodeCOMMismatch, "other data groups")
	}
	return check(gate.CheckIntegrityCOM, gate.Successful, 0, "")
}

// PromisesPACE says whether the proven DG14 or EF.CardSecurity states a PACE
// that EF.CardAccess lacks.
func (c *docCase) PromisesPACE(cardAccess []byte) bool {
	offered := map[lds.PACEInfo]bool{}
	for _, p := range lds.OfferedInfos(cardAccess).PACE {
		offered[p] = true
	}
	for _, s := range c.provenInfos() {
		for _, p := range s.PACE {
			if !offered[p] {
				return true
			}
		}
	}
	return false
}

// provenInfos gives the SecurityInfos of the files that are proven.
func (c *docCase) provenInfos() (out []*lds.SecurityInfos) {
	if c.proven() && c.infos != nil {
		out = append(out, c.infos)
	}
	if c.cardInfos != nil {
		out = append(out, c.cardInfos)
	}
	return out
}

// WantsTerminalAuth says whether EF.CardAccess or a proven file announces
// terminal authentication.
func (c *docCase) WantsTerminalAuth(cardAccess []byte) bool {
	if lds.OfferedInfos(cardAccess).TerminalAuth {
		return true
	}
	for _, s := range c.provenInfos() {
		if s.TerminalAuth {
			return true
		}
	}
	return false
}

// OffersChipAuth says whether the proven DG14 holds a chip authentication key.
func (c *docCase) OffersChipAuth() bool {
	return c.proven() && c.infos != nil && c.infos.ChipAuthKeys > 0
}

// OffersActiveAuth says whether the proven DG15 holds a key, of whatever kind.
func (c *docCase) OffersActiveAuth() bool {
	return c.proven() && (c.aaKey != nil || unsupported(c.aaErr))
}

// Portrait describes the picture in DG2.
func (c *docCase) Portrait() (gate.Portrait, bool) {
	if c.portrait == nil || c.sod == gate.Failed || c.trusted == gate.Failed {
		return gate.Portrait{}, false
	}
	return *c.portrait, true
}

// Wipe overwrites the files that were handed in and whose content was kept,
// and forgets all fields.
func (c *docCase) Wipe() {
	for _, b := range c.held {
		clear(b)
	}
	*c = docCase{at: c.at, trust: c.trust}
}
