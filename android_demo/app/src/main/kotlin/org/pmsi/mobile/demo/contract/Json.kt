package org.pmsi.mobile.demo.contract

import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

// Strict readers: Android's own take "448" for 448, 1.9 for 1 and "NaN" for a number.

internal fun JSONObject.text(key: String): String = get(key) as? String ?: throw JSONException("$key is not a text")

internal fun JSONObject.integer(key: String): Int =
    get(key) as? Int ?: throw JSONException("$key is not a whole number")

/** A finite one. */
internal fun JSONObject.number(key: String): Double = finite(get(key)) ?: throw JSONException("$key is not a number")

internal fun JSONObject.texts(key: String): List<String> =
    getJSONArray(key).all { it as? String ?: throw JSONException("$key are not all texts") }

internal fun JSONObject.integers(key: String): List<Int> =
    getJSONArray(key).all { it as? Int ?: throw JSONException("$key are not all whole numbers") }

/** Finite ones. */
internal fun JSONObject.numbers(key: String): List<Double> =
    getJSONArray(key).all { finite(it) ?: throw JSONException("$key are not all numbers") }

internal fun JSONObject.textOrNull(key: String): String? = if (isNull(key)) null else text(key)

internal fun JSONObject.integerOrNull(key: String): Int? = if (isNull(key)) null else integer(key)

internal fun JSONObject.numberOrNull(key: String): Double? = if (isNull(key)) null else number(key)

internal fun JSONObject.objectOrNull(key: String): JSONObject? = if (isNull(key)) null else getJSONObject(key)

private fun <T> JSONArray.all(read: (Any) -> T): List<T> = List(length()) { read(get(it)) }

private fun finite(value: Any): Double? = (value as? Number)?.toDouble()?.takeIf(Double::isFinite)
