package main

import "fmt"

// strictFace checks by which score the holders of documents without any chip
// proof pass, given the model pack's own threshold and the stricter one of its
// calibration record, 0 where that has none.
func (b *builder) strictFace(normal, recorded float64) error {
	u := b.c.Policy.CloneUnproven
	if len(u.Issuers) == 0 {
		return nil
	}
	if err := b.strictFits(normal); err != nil {
		return err
	}
	if b.noStrict = u.Threshold == 0 && recorded == 0; b.noStrict {
		b.log.Warn("documents without chip proof go to staff: the model pack's calibration record supports no stricter threshold", "issuers", u.Issuers)
		return nil
	}
	b.log.Info("documents without chip proof may pass by a face at the stricter threshold", "issuers", u.Issuers, "threshold", max(u.Threshold, recorded))
	return nil
}

// strictFits refuses a stricter threshold that is none.
func (b *builder) strictFits(normal float64) error {
	u := b.c.Policy.CloneUnproven
	if len(u.Issuers) > 0 && u.Threshold > 0 && u.Threshold < normal {
		return fmt.Errorf("configuration: policy.clone_unproven.threshold is %g and the model pack's own threshold %g: a document without chip proof needs more, not less", u.Threshold, normal)
	}
	return nil
}
