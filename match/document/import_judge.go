package document

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gateagent/internal/durable"
	"gateagent/match/document/pki"
)

// Finish judges what was read, each thing after those that it rests on, and
// writes what is good: every file whole or not at all. It gives one item for
// each object, in the order of judgement. Doing it again changes nothing.
func (im *Importer) Finish(ctx context.Context) ([]ImportItem, error) {
	done := 0
	pick := func(is func(*object) bool, judge func(*object)) {
		for i, o := range im.todo {
			if o != nil && ctx.Err() == nil && is(o) {
				judge(o)
				im.todo[i] = nil
				done++
				im.progress("judged", done, len(im.todo))
			}
		}
	}
	pick(func(o *object) bool { return o.err != nil }, func(o *object) { im.report(o, Refused, o.reason, o.err.Error()) })
	pick(func(o *object) bool { return o.bare != nil }, im.judgeBare)
	pick(func(o *object) bool { return o.anchor && o.byHand }, im.judgeAnchor)
	pick(func(o *object) bool { return o.list != nil && o.list.ContentType == pki.OIDMasterList }, im.judgeMasterList)
	im.trust.settle()
	pick(func(o *object) bool { return o.anchor }, im.judgeAnchor)
	for n := -1; n != len(im.write); { // a link may rest on another
		n = len(im.write)
		pick(func(o *object) bool { return o.cert != nil && mayIssue(o.cert) && im.proves(o) }, im.judgeLink)
	}
	pick(func(o *object) bool { return o.cert != nil && mayIssue(o.cert) }, im.judgeLink)
	pick(func(o *object) bool { return o.cert != nil }, im.judgeSigner)
	pick(func(o *object) bool { return o.crl != nil }, im.judgeCRL)
	pick(func(o *object) bool { return o.list != nil }, im.judgeDefectList)
	if err := ctx.Err(); err != nil || im.cfg.DryRun {
		return im.out, err
	}
	for _, w := range im.write {
		path := filepath.Join(im.cfg.Dir, w.name)
		if w.der != nil {
			if err := durable.WriteFile(path, w.der, 0o644); err != nil {
				return im.out, err
			}
		} else if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return im.out, err
		}
	}
	return im.out, durable.SyncDir(im.cfg.Dir)
}

// known reports an object that the folder holds already.
func (im *Importer) known(o *object) bool {
	sum := sha256.Sum256(o.der)
	name, ok := im.held[sum]
	if !ok && o.cert != nil && im.trust.known[sum] {
		name, ok = "a master list", true
	}
	if ok {
		im.report(o, Known, "", "").File = name
	}
	return ok
}

// usable refuses a certificate whose key or signature is not known here.
func (im *Importer) usable(o *object) bool {
	if err := errors.Join(o.cert.KeyErr, o.cert.AlgorithmErr); err != nil {
		im.report(o, Refused, reasonOf(err), err.Error())
		return false
	}
	return true
}

// judgeAnchor takes an anchor that the operator named as a file; one out of a
// directory needs a signed list that vouches for it.
func (im *Importer) judgeAnchor(o *object) {
	switch {
	case im.known(o), !im.usable(o):
	case !o.byHand:
		im.report(o, Refused, ReasonUnlisted, "compare its SHA-256 with its issuer's and import it as a file of its own")
	default:
		im.trust.insert(&csca{cert: o.cert})
		im.stage(o)
	}
}

func (im *Importer) proves(o *object) bool {
	return im.trust.prove(&csca{cert: o.cert}, map[*csca]bool{})
}

func (im *Importer) judgeLink(o *object) {
	switch {
	case im.known(o), !im.usable(o):
	case im.proves(o):
		im.trust.insert(&csca{cert: o.cert})
		im.stage(o)
	default:
		reason, detail := im.trust.why(o.cert)
		im.report(o, Refused, reason, detail)
	}
}

func (im *Importer) judgeSigner(o *object) {
	if im.known(o) || !im.usable(o) {
		return
	}
	if _, err := im.trust.issuerOf(o.cert, func(*pki.Certificate) bool { return true }); err != nil {
		im.report(o, Refused, reasonOf(err), err.Error())
		return
	}
	im.stage(o)
}

// judgeBare takes a list without signature apart if the operator vouches for
// its content; the folder itself holds no such list.
func (im *Importer) judgeBare(o *object) {
	sum := sha256.Sum256(o.der)
	if !strings.EqualFold(im.cfg.Content, hex.EncodeToString(sum[:])) {
		im.report(o, Refused, ReasonUnsigned, "get the signed file from its publisher; or compare the SHA-256 "+
			hex.EncodeToString(sum[:])+" with the publisher's by a way you trust, and give it as --content-sha256")
		return
	}
	for i, c := range o.bare {
		one := &object{source: fmt.Sprintf("%s#%d", o.source, i+1), der: c.Raw, byHand: true}
		one.sort()
		im.todo = append(im.todo, one)
	}
}

func (im *Importer) judgeMasterList(o *object) {
	if im.known(o) {
		return
	}
	sd, certs, _, err := openMasterList(o.der)
	if err != nil {
		im.report(o, Refused, reasonOf(err), err.Error())
		return
	}
	if err := im.configured(sd, certs); err != nil {
		reason := ReasonNoSigner
		switch {
		case errors.Is(err, errPurpose):
			reason = ReasonPurpose
		case errors.Is(err, pki.ErrSignature):
			reason = ReasonBadSignature
		}
		im.report(o, Refused, reason, err.Error())
		return
	}
	if im.superseded(sd) {
		im.report(o, Refused, ReasonOldList, "it would bring back what its publisher has taken off since")
		return
	}
	before := len(im.trust.known)
	if _, err := im.trust.loadMasterList(im.trust.clone(), o.der, o.source); err != nil {
		im.report(o, Refused, reasonOf(err), err.Error()+"; import the CSCA certificate of the list's signer first")
		return
	}
	im.stage(o)
	item := &im.out[len(im.out)-1]
	item.Detail = fmt.Sprintf("%d certificates, %d of them new", len(certs), len(im.trust.known)-before)
	im.replaceLists(sd, item.File)
}

// configured says whether the list's signer is one of the configured ones or
// was certified by one of them.
func (im *Importer) configured(sd *pki.SignedData, inside []*pki.Certificate) error {
	trust, pinned := &Trust{}, map[[sha256.Size]byte]bool{}
	for _, c := range im.cfg.Signers { // the operator's word is their proof
		pinned[sha256.Sum256(c.Raw)] = true
		if mayIssue(c) {
			trust.insert(&csca{cert: c, proven: true})
		}
	}
	err := errors.New("has no signer")
	for _, s := range sd.Signers {
		var c *pki.Certificate
		if c, err = listSigner(s, sd, inside, mayListMasters); err != nil {
			continue
		}
		sum := sha256.Sum256(c.Raw)
		if pinned[sum] {
			return nil
		}
		if _, err = trust.issuerOf(c, func(*pki.Certificate) bool { return true }); err == nil {
			return nil
		}
		err = fmt.Errorf("signed by %s %q (SHA-256 %s), which no --signer names: obtain that certificate, or its CSCA's, by a way you trust and give it",
			country(c), c.Subject.Common, hex.EncodeToString(sum[:]))
	}
	return err
}

// publishedList is a master list that the folder holds.
type publishedList struct {
	file    string
	country string // of its signer
	at      time.Time
}

// published describes a list by its first signer; false where it does not say
// when it was signed, or by whom.
func published(sd *pki.SignedData, file string) (publishedList, bool) {
	s := sd.Signers[0]
	c := s.Certificate(sd.Certificates)
	if c == nil || s.SigningTime.IsZero() {
		return publishedList{}, false
	}
	return publishedList{file: file, country: country(c), at: s.SigningTime}, true
}

// remember keeps what the folder's master lists say of themselves.
func (im *Importer) remember(f TrustFile, b []byte) {
	if f.Kind != FileMasterList || f.Err != nil {
		return
	}
	if sd, err := openList(b, pki.OIDMasterList, "master list"); err == nil {
		if l, ok := published(sd, f.Name); ok {
			im.lists = append(im.lists, l)
		}
	}
}

// superseded says whether a newer list of the same publisher is held: an old
// one would bring back what the publisher has taken off.
func (im *Importer) superseded(sd *pki.SignedData) bool {
	l, ok := published(sd, "")
	return ok && slices.ContainsFunc(im.lists, func(held publishedList) bool { return held.country == l.country && held.at.After(l.at) })
}

// replaceLists removes older master lists of the same publisher, if that was
// asked for.
func (im *Importer) replaceLists(sd *pki.SignedData, file string) {
	l, ok := published(sd, file)
	if !ok {
		return
	}
	kept := []publishedList{l}
	for _, held := range im.lists {
		if !im.cfg.Replace || held.country != l.country || !held.at.Before(l.at) {
			kept = append(kept, held)
			continue
		}
		im.remove(held.file, "masterlist", held.country, "")
	}
	im.lists = kept
}

// remove has a file removed that a newer one has made useless.
func (im *Importer) remove(name, kind, country, of string) {
	im.write = append(im.write, staged{name: name})
	im.out = append(im.out, ImportItem{Outcome: Replaced, Kind: kind, Country: country, Name: of, Source: name, File: name, Reason: ReasonOldList})
}

func (im *Importer) judgeCRL(o *object) {
	if im.known(o) {
		return
	}
	l := &crl{list: o.crl}
	if !im.trust.isProvenCRL(l) {
		info := im.trust.describeCRL(l, time.Time{}, nil)
		im.report(o, Refused, info.Reason, "import the issuer's CSCA certificate first, if it is not at hand")
		return
	}
	newest := im.trust.newestCRLs()[o.crl.Issuer.Key]
	if newest != nil && !o.crl.ThisUpdate.After(newest.list.ThisUpdate) {
		im.report(o, Known, ReasonOldList, "")
		return
	}
	im.trust.crls = append(im.trust.crls, l)
	im.stage(o)
	l.file = im.out[len(im.out)-1].File
	im.dropCRLs(l)
}

// dropCRLs removes older lists that import itself put there and that revoke
// nothing more than the new one: they have become useless.
func (im *Importer) dropCRLs(now *crl) {
	for _, l := range im.trust.crls {
		if l == now || !strings.HasPrefix(l.file, "crl-") || l.list.Issuer.Key != now.list.Issuer.Key || now.list.Partial || !now.list.Covers(l.list) {
			continue
		}
		im.remove(l.file, "crl", l.list.Issuer.Country, l.list.Issuer.Common)
		l.file = "" // gone
	}
}

func (im *Importer) judgeDefectList(o *object) {
	if im.known(o) {
		return
	}
	if err := im.trust.loadDefectList(o.der, o.source); err != nil {
		reason := reasonOf(err)
		if errors.Is(err, errPurpose) {
			reason = ReasonPurpose
		}
		im.report(o, Refused, reason, err.Error())
		return
	}
	im.stage(o)
	l := im.trust.defects[len(im.trust.defects)-1].list
	im.out[len(im.out)-1].Detail = fmt.Sprintf("%d entries", len(l.Entries))
}
