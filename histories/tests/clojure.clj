; Reads EDN with Clojure's own reader and prints every form in a notation of its own: a letter for the kind, and what is in it.
(require '[clojure.edn :as edn] '[clojure.string :as string])

(defn codes [text] (string/join "." (map int text)))
(defn tagged [tag value] {::tag (str tag) ::value value})

(def readers
  {'inst (partial tagged "inst")
   'uuid (partial tagged "uuid")
   'rashomon/keyword keyword
   'rashomon/symbol symbol
   'rashomon/tagged (fn [[tag value]] (tagged tag value))})

(defn show [x]
  (cond
    (nil? x) "n"
    (boolean? x) (str "b" x)
    (string? x) (str "s" (codes x))
    (char? x) (str "c" (int x))
    (keyword? x) (str "k" (codes (subs (str x) 1)))
    (symbol? x) (str "y" (codes (str x)))
    (integer? x) (str "i" (biginteger x))
    (ratio? x) (str "r" x)
    (decimal? x) (str "d" (.toPlainString ^java.math.BigDecimal x))
    (float? x) (str "f" (if (Double/isNaN x) "nan" (Double/doubleToRawLongBits x)))
    (::tag x) (str "t" (codes (::tag x)) "<" (show (::value x)) ">")
    (map? x) (str "{" (string/join " " (sort (map (fn [[k v]] (str (show k) "=" (show v))) x))) "}")
    (set? x) (str "#{" (string/join " " (sort (map show x))) "}")
    (vector? x) (str "[" (string/join " " (map show x)) "]")
    (seq? x) (str "(" (string/join " " (map show x)) ")")
    :else (str "?" (class x))))

(doseq [path *command-line-args*]
  (println "file" path)
  (with-open [in (java.io.PushbackReader. (clojure.java.io/reader path :encoding "UTF-8"))]
    (loop []
      (let [form (edn/read {:eof ::end :default tagged :readers readers} in)]
        (when-not (= form ::end)
          (println (show form))
          (recur))))))
