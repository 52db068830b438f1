//! The dotted keys of a settings struct.
//!
//! Going through a JSON value would be shorter, but there a struct and a map look alike: the entries of a map that is
//! not empty by default would become the only keys that the operator may write. serde itself tells them apart.

use super::join;
use serde::ser::{self, Serialize};
use std::fmt;

/// Every dotted key of `defaults`, in the order of its fields. A struct is a table and is walked; everything else,
/// lists, maps, enums and a `None` among them, is one value. Fields that serialisation skips are keys all the same.
///
/// `#[serde(flatten)]` makes a struct look like a map and is not supported (nor does it go with
/// `deny_unknown_fields`).
pub fn known_keys<T: Serialize>(defaults: &T) -> Vec<String> {
    let mut keys = Vec::new();
    Collector { key: String::new(), keys: &mut keys }.collect(defaults);
    keys
}

struct Collector<'k> {
    key: String,
    keys: &'k mut Vec<String>,
}

impl Collector<'_> {
    /// A value that refuses to be serialised is a value still.
    fn collect<T: Serialize + ?Sized>(self, value: &T) {
        let (key, before) = (self.key.clone(), self.keys.len());
        let keys = self.keys;
        if value.serialize(Collector { key: self.key, keys }).is_err() {
            keys.truncate(before);
            keys.push(key);
        }
    }

    fn leaf(self) -> Result<Contents, Refused> {
        self.keys.push(self.key);
        Ok(Contents)
    }
}

/// What lies in a list, a map or an enum is no key.
struct Contents;

#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this value cannot be serialised")
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

macro_rules! leaves {
    ($($method:ident($($argument:ty),*);)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<(), Refused> {
            self.leaf().map(drop)
        })*
    };
}

impl ser::Serializer for Collector<'_> {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Contents;
    type SerializeTuple = Contents;
    type SerializeTupleStruct = Contents;
    type SerializeTupleVariant = Contents;
    type SerializeMap = Contents;
    type SerializeStruct = Self;
    type SerializeStructVariant = Contents;

    leaves! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Refused> {
        self.leaf().map(drop)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Contents, Refused> {
        self.leaf()
    }

    fn serialize_tuple(self, _: usize) -> Result<Contents, Refused> {
        self.leaf()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Contents, Refused> {
        self.leaf()
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Contents, Refused> {
        self.leaf()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Contents, Refused> {
        self.leaf()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Refused> {
        Ok(self)
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Contents, Refused> {
        self.leaf()
    }
}

impl ser::SerializeStruct for Collector<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Refused> {
        Collector { key: join(&self.key, name), keys: self.keys }.collect(value);
        Ok(())
    }

    fn skip_field(&mut self, name: &'static str) -> Result<(), Refused> {
        self.keys.push(join(&self.key, name));
        Ok(())
    }

    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}

macro_rules! contents {
    ($($interface:ident: $method:ident($($argument:ty),*);)*) => {
        $(impl ser::$interface for Contents {
            type Ok = ();
            type Error = Refused;

            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $argument,)* _: &T) -> Result<(), Refused> {
                Ok(())
            }

            fn end(self) -> Result<(), Refused> {
                Ok(())
            }
        })*
    };
}

contents! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeStructVariant: serialize_field(&'static str);
}

impl ser::SerializeMap for Contents {
    type Ok = ();
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Refused> {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Refused> {
        Ok(())
    }

    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}
