// Package sops reads files that sops has encrypted for age keys, of the formats YAML, JSON, dotenv and binary.
//
// It is a reader of the format and no client: it has no key service, asks no agent, no environment and no file, and
// runs no plugin. sops' own library cannot be had without those: its tree, its cipher and its stores all import the
// clients of five clouds, of Vault and of a database, which is 700 packages more than rollcall has. So the file format is
// read here (documented at https://getsops.io/docs/#encryption-protocol), with age's own library for the keys and the
// standard library's AES-GCM for the values; the test data is written by sops' library.
//
//	sops.age[].enc ──age──► data key ──AES-256-GCM, each value bound to its path──► values ──SHA-512──► compared with sops.mac
package sops
