// Package tpm has the machine's TPM 2.0 seal a small secret, so that the disk
// alone does not tell it.
//
// The secret becomes a sealed data object below the storage root key: the
// primary key of the owner hierarchy by the TCG's template for elliptic curves
// (TCG TPM v2.0 Provisioning Guidance, section 7.5.1), which the TPM makes anew
// at every use from a seed that a clear of the TPM changes. So another TPM, or
// this one after a clear, opens nothing. On its way to the TPM and back the
// secret is encrypted in a session that is salted to that key (TPM 2.0 Library,
// Part 1, sections 19.6 and 21): listening on the bus tells nothing. The name
// of the key is kept beside the sealed object and compared, so that nobody in
// between can give a key of their own.
//
// The object asks for no password. With a choice of platform configuration
// registers the TPM asks in addition that they have the values that they had at
// the time of sealing (TPM2_PolicyPCR, Part 3, section 23.7). Without, whoever
// starts another system on this very machine can have the secret opened: what
// is held is that a disk without its machine tells nothing.
package tpm
