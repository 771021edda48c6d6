//! Who sends: the attributes of a resource and of a scope, of which a few become labels.

use std::borrow::Cow;

use super::attribute::{Attribute, attributes};
use super::{Settings, attribute};
use crate::protobuf::{Fields, Value, messages};

/// What a service is called that does not say so, as the SDKs call it.
const UNKNOWN: &str = "unknown_service";

/// Who sends.
#[derive(Clone, Debug)]
pub(super) struct Resource<'a> {
    /// `service.name`, after `service.namespace` and a slash if there is one.
    pub service: Cow<'a, str>,
    /// The pipeline that all its stages belong to, if it says so.
    pub pipeline: Option<&'a str>,
    /// The message.
    pub message: &'a [u8],
}

impl<'a> Resource<'a> {
    /// The resource of a `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
    pub(super) fn of(parent: &'a [u8], settings: &Settings) -> Self {
        let message = messages(parent, 1).last().unwrap_or_default();
        let (mut name, mut namespace, mut pipeline) = ("", "", None);
        for attribute in attributes(message, 1) {
            let is = match attribute.key {
                "service.name" => &mut name,
                "service.namespace" => &mut namespace,
                key if key == settings.pipeline_attribute => pipeline.get_or_insert(""),
                _ => continue,
            };
            *is = attribute.text().unwrap_or_default();
        }
        let name = if name.is_empty() { UNKNOWN } else { name };
        let service = if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() };
        Self { service, pipeline: pipeline.filter(|pipeline| !pipeline.is_empty()), message }
    }

    /// Hands over its attributes that become labels.
    pub(super) fn labels(&self, settings: &Settings, mut take: impl FnMut(&str, Cow<'a, str>)) {
        let wanted =
            |attribute: &Attribute<'_>| settings.resource_attributes.iter().any(|key| key == attribute.key);
        attributes(self.message, 1)
            .filter(wanted)
            .for_each(|attribute| take(attribute.key, attribute.written()));
    }
}

/// What of a program sends: a library, mostly.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scope<'a> {
    message: &'a [u8],
}

impl<'a> Scope<'a> {
    /// The scope of a `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`.
    pub(super) fn of(parent: &'a [u8]) -> Self {
        Self { message: messages(parent, 1).last().unwrap_or_default() }
    }

    /// Hands over what becomes labels of it: `name`, `version`, and its attributes.
    pub(super) fn labels(&self, settings: &Settings, mut take: impl FnMut(&str, Cow<'a, str>)) {
        let wanted = |name: &str| settings.scope_attributes.iter().any(|key| key == name);
        for (number, value) in Fields::of(self.message) {
            let Value::Bytes(bytes) = value else { continue };
            match number {
                1 if wanted("name") => take("name", attribute::text(bytes).into()),
                2 if wanted("version") => take("version", attribute::text(bytes).into()),
                3 => {
                    let attribute = Attribute::of(bytes);
                    if wanted(attribute.key) {
                        take(attribute.key, attribute.written());
                    }
                }
                _ => {}
            }
        }
    }

    /// The bytes that tell it from others.
    pub(super) fn identity(&self) -> &'a [u8] {
        self.message
    }
}
