package v1alpha1

import corev1 "k8s.io/api/core/v1"

// Substitute says where the values of variables come from.
type Substitute struct {
	// Values by the name of the variable: letters, digits and _, and no digit
	// first. They come before what From names.
	// +kubebuilder:validation:MaxProperties=256
	// +optional
	Values map[string]string `json:"values,omitempty"`

	// From names ConfigMaps and Secrets in this namespace whose entries are
	// variables; what is named later comes before what is named earlier. They are
	// read as the account that the GitSync acts as, with each poll. A value that
	// comes from a Secret can be used in the data and stringData of Secrets alone,
	// since everything else is shown in plans and messages.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	From []SubstituteSource `json:"from,omitempty"`
}

// SubstituteSource is an object whose entries are variables.
type SubstituteSource struct {
	// Kind is ConfigMap or Secret.
	// +kubebuilder:validation:Enum=ConfigMap;Secret
	Kind string `json:"kind"`

	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Optional lets the object be missing.
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// Decryption says how encrypted files are read.
type Decryption struct {
	// SecretRef names a Secret in this namespace with age private keys: each entry
	// whose name ends in .agekey is a key file as age-keygen writes it.
	// +kubebuilder:validation:XValidation:rule="has(self.name) && self.name != ''",message="secretRef must name a Secret"
	SecretRef corev1.LocalObjectReference `json:"secretRef"`
}

// MaxWarnings is how many warnings a status has.
const MaxWarnings = 20

// Warning is something doubtful in what Git declares.
type Warning struct {
	// Reason is a constant, such as NoReadinessProbe.
	Reason string `json:"reason"`
	// File is where the object comes from, relative to the root of the repository.
	// +optional
	File string `json:"file,omitempty"`
	// Object is its kind, namespace and name.
	Object string `json:"object"`
	// Message says what it is and what to do.
	Message string `json:"message"`
}
